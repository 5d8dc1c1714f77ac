/*
 * The closed vocabulary of results in the workers, and the error that a client sees.
 *
 * Functions return OIM_OK or a negative code. Two predicates decide everything in a consumer: a
 * retriable error means "do not commit, back off, try the same record again"; a poison error means
 * "park the record where an operator finds it, count it, commit". Everything else is an answer to
 * the client, made only at the edge from oim_fail. Read oim_lane.h next.
 */
#ifndef OIM_ERR_H
#define OIM_ERR_H

#include <stdbool.h>

enum oim_err {
    OIM_OK = 0,
    OIM_ENOMEM = -1,
    OIM_EPARSE = -2,      /* bytes do not fit their format */
    OIM_ENOTFOUND = -3,
    OIM_EEXIST = -4,      /* unique key */
    OIM_EUNAVAIL = -5,    /* a store or broker is away: retriable */
    OIM_ETIMEOUT = -6,    /* retriable */
    OIM_ECONFLICT = -7,   /* deadlock or lost lock: retriable */
    OIM_EFENCED = -8,     /* somebody else owns the partition now: drop, rejoin */
    OIM_EFATAL = -9,      /* this process cannot go on: log, exit, be restarted */
    OIM_EFAIL = -10,      /* an answer: the caller has filled an oim_fail */
    OIM_ELIMIT = -11,     /* over a bound */
};

bool oim_err_retriable(int err);
bool oim_err_poison(int err);
const char *oim_err_name(int err); /* "unavailable", for logs */

/* What the client reads (rest.md A.5, A.7). msg and dlt live in the record's arena or are static. */
struct oim_fail {
    int code;
    const char *msg;
    const char *dlt;
};

/* One table: code -> errMsg (rest.md A.7). Unknown codes give "ServerInternalError". */
const char *oim_fail_name(int code);

enum {
    OIM_C_INTERNAL = 500,
    OIM_C_ARGS = 1001,
    OIM_C_PERMISSION = 1002,
    OIM_C_DUPLICATE = 1003,
    OIM_C_NOTFOUND = 1004,
    OIM_C_USER_NOTFOUND = 1101,
    OIM_C_REGISTERED = 1102,
    OIM_C_GROUP_NOTFOUND = 1201,
    OIM_C_GROUP_EXISTS = 1202,
    OIM_C_NOT_IN_GROUP = 1203,
    OIM_C_DISMISSED = 1204,
    OIM_C_JOIN_HANDLED = 1206,
    OIM_C_SELF_FRIEND = 1301,
    OIM_C_BLOCKED = 1302,
    OIM_C_NOT_FRIEND = 1303,
    OIM_C_FRIENDS_ALREADY = 1304,
    OIM_C_REQUEST_HANDLED = 1305,
    OIM_C_MUTED_MEMBER = 1402,
    OIM_C_MUTED_GROUP = 1403,
    OIM_C_REVOKED = 1404,
    OIM_C_TOKEN_EXPIRED = 1501,
    OIM_C_TOKEN_INVALID = 1502,
    OIM_C_TOKEN_MALFORMED = 1503,
    OIM_C_TOKEN_NOTYET = 1504,
    OIM_C_TOKEN_UNKNOWN = 1505,
    OIM_C_TOKEN_KICKED = 1506,
    OIM_C_TOKEN_NOTEXIST = 1507,
};

#endif
