/* Proof that leaks are seen: an object of the library is not freed. */
#include "check.h"

int main(void) {
    forebay_options_t *volatile options = forebay_options_new();
    CHECK(options != NULL);
    options = NULL;
    return 0;
}
