# Builds the plugin. FOREBAY is where forebay.h is.

FOREBAY  ?= @INCLUDE@
CXXFLAGS ?= -O2 -g
CXXFLAGS += -std=c++17 -Wall -Wextra -fPIC -fvisibility=hidden -I'$(FOREBAY)'

lib@NAME@.so: @NAME@.cpp
	$(CXX) $(CXXFLAGS) -shared $< -o $@ $(LDFLAGS) $(LDLIBS)

clean:
	rm -f lib@NAME@.so

.PHONY: clean
