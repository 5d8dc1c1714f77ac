/*
 * Names of results and of the codes that clients see. Both are closed lists: a new code is added here first. oim_err.h says how they
 * are used.
 */
#include "oim_err.h"

#include <stddef.h>

bool oim_err_retriable(int err)
{
    return err == OIM_EUNAVAIL || err == OIM_ETIMEOUT || err == OIM_ECONFLICT;
}

bool oim_err_poison(int err)
{
    return err == OIM_EPARSE || err == OIM_ELIMIT;
}

const char *oim_err_name(int err)
{
    switch (err) {
    case OIM_OK: return "ok";
    case OIM_ENOMEM: return "no memory";
    case OIM_EPARSE: return "malformed";
    case OIM_ENOTFOUND: return "not found";
    case OIM_EEXIST: return "exists";
    case OIM_EUNAVAIL: return "unavailable";
    case OIM_ETIMEOUT: return "timed out";
    case OIM_ECONFLICT: return "conflict";
    case OIM_EFENCED: return "fenced";
    case OIM_EFATAL: return "fatal";
    case OIM_EFAIL: return "refused";
    case OIM_ELIMIT: return "over a limit";
    default: return "unknown";
    }
}

/* rest.md A.7 */
static const struct {
    int code;
    const char *name;
} names[] = {
    {OIM_C_INTERNAL, "ServerInternalError"},
    {OIM_C_ARGS, "ArgsError"},
    {OIM_C_PERMISSION, "NoPermissionError"},
    {OIM_C_DUPLICATE, "DuplicateKeyError"},
    {OIM_C_NOTFOUND, "RecordNotFoundError"},
    {OIM_C_USER_NOTFOUND, "UserIDNotFoundError"},
    {OIM_C_REGISTERED, "RegisteredAlreadyError"},
    {OIM_C_GROUP_NOTFOUND, "GroupIDNotFoundError"},
    {OIM_C_GROUP_EXISTS, "GroupIDExisted"},
    {OIM_C_NOT_IN_GROUP, "NotInGroupYetError"},
    {OIM_C_DISMISSED, "DismissedAlreadyError"},
    {OIM_C_JOIN_HANDLED, "GroupRequestHandled"},
    {1301, "CanNotAddYourselfError"},
    {OIM_C_BLOCKED, "BlockedByPeer"},
    {OIM_C_NOT_FRIEND, "NotPeersFriend"},
    {1304, "RelationshipAlreadyError"},
    {1305, "FriendRequestHandled"},
    {1401, "MessageHasReadDisable"},
    {OIM_C_MUTED_MEMBER, "MutedInGroup"},
    {OIM_C_MUTED_GROUP, "MutedGroup"},
    {OIM_C_REVOKED, "MsgAlreadyRevoke"},
    {OIM_C_TOKEN_EXPIRED, "TokenExpiredError"},
    {OIM_C_TOKEN_INVALID, "TokenInvalidError"},
    {OIM_C_TOKEN_MALFORMED, "TokenMalformedError"},
    {OIM_C_TOKEN_NOTYET, "TokenNotValidYetError"},
    {OIM_C_TOKEN_UNKNOWN, "TokenUnknownError"},
    {OIM_C_TOKEN_KICKED, "TokenKickedError"},
    {OIM_C_TOKEN_NOTEXIST, "TokenNotExistError"},
    {1601, "ConnOverMaxNumLimit"},
    {80000, "CallbackError"},
    {90002, "DatabaseError"},
    {90004, "NetworkError"},
    {90007, "DataError"},
};

const char *oim_fail_name(int code)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (names[i].code == code) return names[i].name;
    }
    return "ServerInternalError";
}
