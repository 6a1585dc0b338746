# Builds the plugin. FOREBAY is where forebay.h is.

FOREBAY ?= @INCLUDE@
CFLAGS  ?= -O2 -g
CFLAGS  += -std=gnu11 -Wall -Wextra -Werror=implicit-function-declaration -fPIC -fvisibility=hidden -I'$(FOREBAY)'

lib@NAME@.so: @NAME@.c
	$(CC) $(CFLAGS) -shared $< -o $@ $(LDFLAGS) $(LDLIBS)

clean:
	rm -f lib@NAME@.so

.PHONY: clean
