/*
 * The world of a handler, played: a database that answers what the test has laid ready, in order, and a list of what was asked and told.
 */
#ifndef USERS_STAND_H
#define USERS_STAND_H

#include "change.h"
#include "group.h"
#include "notify.h"
#include "user.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

extern struct logic_call call;

int stand_setup(void **state);
int stand_teardown(void **state);

/* The next statement's answer: n rows of columns cells each, then the cells: text, or numbers as "#7". Without one it is empty. */
void stand_rows(size_t n, size_t columns, ...);
void stand_error(int rc);
void stand_found(uint64_t affected);

/* "statement | arg, arg" of the i-th statement; fails the test when there was none. */
const char *stand_asked(int i);
int stand_n_asked(void);

/* "group:g1", "N1516 op>g1", "task /internal/profile u1 1 g7", one a line, in the order in which they were said. */
const char *stand_told(void);

/* The handler of path. */
int stand_run(const char *path, const void *req, void *res);

#endif
