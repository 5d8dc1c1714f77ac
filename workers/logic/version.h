/*
 * Version logs (rest.md D): what changed in somebody's friends, joined groups, group members or
 * conversations since a client last asked. One document per (kind, owner), one entry per element with its
 * latest state. Tables version_docs and version_entries.
 */
#ifndef OIM_LOGIC_VERSION_H
#define OIM_LOGIC_VERSION_H

#include "rpc.h"

enum logic_log { LOGIC_LOG_FRIEND = 1, LOGIC_LOG_JOIN, LOGIC_LOG_MEMBER, LOGIC_LOG_CONVERSATION };
enum logic_state { LOGIC_INSERT = 1, LOGIC_DELETE, LOGIC_UPDATE };

#define LOGIC_SORT "____S_O_R_T_I_D____" /* reserved element: the order of the list changed */
#define LOGIC_GROUP ""                   /* reserved element: the group's own row changed */

struct logic_version {
    uint64_t version;
    char *id; /* 24 hex digits */
};

struct logic_changes {
    bool full;  /* start over: the lists are empty */
    bool group; /* LOGIC_GROUP was among them */
    uint64_t sort_version;
    char **insert, **update, **delete_; /* element ids without the reserved ones */
    size_t n_insert, n_update, n_delete;
};

/* Current documents; missing ones are created empty at version 1. */
int logic_versions(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out);

/* The same without making any: id NULL where there is none. */
int logic_versions_read(struct logic_call *call, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out);

/* A number for it, as row_cache.h wants; 0 without a document. */
uint64_t logic_version_stamp(const struct logic_version *version);

/* What a client with (version_id, version) has to learn; now comes from logic_versions, read before. Rows
 * are read after it: they may be newer than the version that the client stores, never older. */
int logic_changes(struct logic_call *call, enum logic_log kind, const char *owner, const struct logic_version *now,
                  const char *version_id, uint64_t version, struct logic_changes *changes);

/* For a member that starts over with a group's log and has the group's row from somewhere before: what to give as its version instead of
 * now->version. It is the version before the last step that changed the row, unless the member's own coming is that step: asked again
 * with it, the log still brings the row. */
int logic_version_before_row(struct logic_call *call, const char *group_id, const char *user_id, const struct logic_version *now,
                             uint64_t *version);

/* Both for a user's own log, by that user or an administrator: what the incremental routes begin with. */
int logic_changes_own(struct logic_call *call, enum logic_log kind, char *owner, const char *version_id, uint64_t version,
                      struct logic_version *now, struct logic_changes *changes);

/* One step of the log, inside the caller's transaction: all elements get the same new version. out, if not NULL: the document after it.
 * Who writes several logs in one transaction writes them in the order of kind, then owner. */
int logic_version_write(struct logic_lane *lane, enum logic_log kind, const char *owner, char *const *elements, size_t n,
                        enum logic_state state, struct logic_version *out);

/* The same counted as several steps: what notices say of a part of it is then no next step to a client, which pulls (rest.md D.4). */
int logic_version_write_steps(struct logic_lane *lane, enum logic_log kind, const char *owner, char *const *elements, size_t n,
                              enum logic_state state, uint32_t steps, struct logic_version *out);

/* One step in each of n logs of one kind, a few statements for all: elements[i], or, with one element, that one in all logs. owners are
 * distinct. versions, if not NULL: versions[i] of owners[i] after it. */
int logic_version_write_each(struct logic_lane *lane, enum logic_log kind, char *const *owners, size_t n, char *const *elements,
                             bool one_element, enum logic_state state, uint64_t *versions);

/* One step in the join log of every member of a group: it is gone. In SQL alone: thousands of members are ordinary. */
int logic_version_leave_all(struct logic_lane *lane, const char *group_id);

/* The log is gone: clients start over with a document of another id. */
int logic_version_drop(struct logic_lane *lane, enum logic_log kind, const char *owner);

#endif
