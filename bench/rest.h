/*
 * The administrator's side over REST (rest.md B.1, B.2): token, users, users' tokens. Blocking sockets that are kept; a list of users is
 * worked through on several of them at once.
 */
#ifndef BENCH_REST_H
#define BENCH_REST_H

#include <stddef.h>

#define REST_LINKS 16
#define REST_TOKEN 1024

struct rest {
    const char *address;
    char token[REST_TOKEN]; /* of the administrator */
    int fds[REST_LINKS];
    char why[256];
};

/* Connects and gets the administrator's token. All return 0, or -1 with why. */
int rest_open(struct rest *r, const char *address, const char *secret, const char *admin);
void rest_close(struct rest *r);
/* Users must be new, at most 500. A user that is there already is an error unless tolerate. */
int rest_register(struct rest *r, char *const *users, size_t n, int tolerate);
/* A group of users[0], who owns it, and all others. */
int rest_group(struct rest *r, const char *group, char *const *users, size_t n);
/* tokens[i] is allocated. */
int rest_tokens(struct rest *r, char *const *users, size_t n, char **tokens);

#endif
