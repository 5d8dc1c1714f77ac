/* What the test files share. Each file has one group; main.c runs all. */
#ifndef UNIT_H
#define UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct unit_group {
    const char *name;
    const struct CMUnitTest *tests;
    size_t n;
    const char *needs; /* variable of the environment, or NULL */
};

#define UNIT_GROUP(group, label, list, variable) \
    const struct unit_group group = {label, list, sizeof(list) / sizeof((list)[0]), variable}

extern const struct unit_group unit_memory, unit_json_read, unit_json_write, unit_jwt, unit_app, unit_conf, unit_downlink;

#endif
