/* What a program is compiled with is what it runs with, the composed number included. */
#include "check.h"

int main(void) {
    char text[32];
    CHECK(strcmp(forebay_version(), FOREBAY_VERSION) == 0);
    CHECK(forebay_version_number() == FOREBAY_VERSION_NUMBER);
    CHECK(FOREBAY_VERSION_NUMBER ==
          FOREBAY_VERSION_MAJOR * 1000000 + FOREBAY_VERSION_MINOR * 1000 + FOREBAY_VERSION_PATCH);
    snprintf(text, sizeof text, "%d.%d.%d", FOREBAY_VERSION_MAJOR, FOREBAY_VERSION_MINOR, FOREBAY_VERSION_PATCH);
    CHECK(strcmp(text, FOREBAY_VERSION) == 0);
    CHECK(forebay_abi() == FOREBAY_ABI);
    CHECK(forebay_has("curve") == 1 && forebay_has("broker") == 1);
    CHECK(forebay_has("store") == 1 && forebay_has("") == 0 && forebay_has("no such") == 0);
    return 0;
}
