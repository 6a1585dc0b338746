"""Prints a C program that does not compile, or fails, unless the package's table is what forebay.h says.

Each function is declared again from its ctypes: a compiler takes no second declaration that differs. Each structure's size,
and each field's place and size, is compared.
"""

import ctypes

from forebay import _c

PLAIN = {
    ctypes.c_char_p: "char *",
    ctypes.c_void_p: "void *",
    ctypes.c_char: "char",
    ctypes.c_double: "double",
    ctypes.c_size_t: "size_t",
    ctypes.c_int32: "int32_t",
    ctypes.c_int64: "int64_t",
    ctypes.c_uint8: "uint8_t",
    ctypes.c_uint32: "uint32_t",
    ctypes.c_uint64: "uint64_t",
    _c.forebay_log_fn: "forebay_log_fn",
    None: "void",
}


def name(kind):
    """A type as C names it."""
    if kind in PLAIN:
        return PLAIN[kind]
    inner = getattr(kind, "_type_", None)
    return f"{name(inner)} *" if inner is not None else kind.__name__


def main():
    """Prints the program."""
    print(
        "#define const\n#define volatile\n#include <stdint.h>\n#include <stddef.h>\n#include <stdio.h>\n#include <forebay.h>"
    )
    for function, (answer, takes) in _c.FUNCTIONS.items():
        print(f"{name(answer)} {function}({', '.join(map(name, takes)) or 'void'});")
    print("int main(void) {\n    int wrong = 0;")
    for struct in vars(_c).values():
        fields = getattr(struct, "_fields_", ()) if isinstance(struct, type) else ()
        if not fields:
            continue
        c = struct.__name__
        check(f"sizeof({c})", ctypes.sizeof(struct))
        for field, *_ in fields:
            check(f"offsetof({c}, {field})", getattr(struct, field).offset)
            check(f"sizeof((({c} *)0)->{field})", getattr(struct, field).size)
    print("    return wrong;\n}")


def check(what, number):
    """Compares one number."""
    print(
        f'    if ({what} != {number}) wrong = 1, printf("%s is %zu, not {number}\\n", "{what}", (size_t)({what}));'
    )


main()
