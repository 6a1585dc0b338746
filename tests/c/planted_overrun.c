/* Proof that wild reads are seen: one byte past a block of the program. */
#include "check.h"

int main(int argc, char **argv) {
    char *block = malloc((size_t)argc);
    CHECK(block != NULL && argv != NULL);
    block[0] = 1;
    printf("%d\n", block[argc]);
    free(block);
    return 0;
}
