/*
 * What the group files share (rest.md C.4 to C.6). A change of a group begins with logic_group_lock: whoever changes a group, its members
 * or its requests holds its row, so two administrators leave one consistent result; chat_groups.member_count and owner_user_id follow
 * group_members under the same lock.
 *
 *   group_row.c     rows as messages, locks, roles, adding and removing members, the tips that all notices share
 *   group.c         lists and single reads      group_sync.c   incremental synchronisation
 *   group_create.c  group_join.c  group_apply.c  group_leave.c  group_info.c  group_member.c   changes
 */
#ifndef OIM_LOGIC_GROUP_H
#define OIM_LOGIC_GROUP_H

#include "change.h"
#include "notify.h"
#include "version.h"

#include "group.pb-c.h"

enum { LOGIC_JOIN_BY_ADMIN = 1, LOGIC_JOIN_INVITED, LOGIC_JOIN_SEARCH, LOGIC_JOIN_QR };

/* ---- reading (group_row.c) ---- */

/* Locks the group's row for this transaction. 1004 when there is none; 1204 when it is dismissed and `alive`. */
int logic_group_lock(struct logic_call *call, const char *group_id, bool alive, Openim__Sdkws__GroupInfo **group);

/* 1004 when there is no such group, 1204 when it is dismissed. */
int logic_group_alive(struct logic_call *call, const char *group_id);

/* Members with names and faces filled in from their profiles: out[i] of ids[i], NULL where there is none. One query, one for profiles. */
int logic_group_members(struct logic_call *call, const char *group_id, char *const *ids, size_t n,
                        Openim__Sdkws__GroupMemberFullInfo **out);
int logic_group_member(struct logic_call *call, const char *group_id, char *user_id, Openim__Sdkws__GroupMemberFullInfo **out);

/* Rows selected by LOGIC_MEMBER_COLUMNS as messages. */
#define LOGIC_MEMBER_COLUMNS                                                                                                        \
    "user_id, role_level, join_time, nickname, face_url, join_source, operator_user_id, ex, mute_end_time, inviter_user_id, group_id, id"
int logic_group_members_of_rows(struct logic_call *call, const struct oim_sql_rows *rows, Openim__Sdkws__GroupMemberFullInfo ***out,
                                size_t *n);

/* Those that are there, without repetition, in the order of ids or as lists have them. stamp: of the version of the member log that was read
 * before (version.h): rows may come from the process's cache (row_cache.h) and are never older than it; 0: from the store. */
enum logic_order { LOGIC_AS_ASKED, LOGIC_BY_ROLE /* then age */ };
int logic_group_members_at(struct logic_call *call, const char *group_id, uint64_t stamp, char *const *ids, size_t n,
                           enum logic_order order, Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n_out);

/* The ids of one page of the members by role, then age, and how many there are; stamp as above. */
int logic_group_page(struct logic_call *call, const char *group_id, uint64_t stamp, const struct logic_page *page, char ***ids, size_t *n,
                     uint32_t *total);

/* Ids of the owner and the administrators. */
int logic_group_managers(struct logic_call *call, const char *group_id, char ***ids, size_t *n);

/* 1002 unless op is a member, or an administrator of the application. stamp: what was read first, for the functions above;
 * NULL: not wanted. */
int logic_group_member_check(struct logic_call *call, const char *group_id, uint64_t *stamp);

/* The owner or an administrator of the group, or of the application. missing: the code when op is no member (rest.md A.10: 1002 for
 * "check first", 1004 for GADMIN*). */
int logic_group_admin_check(struct logic_call *call, const char *group_id, int missing);

/* ---- lists (group.c) ---- */

/* Found ones without repetition, in the order of ids. */
int logic_groups_found(struct logic_call *call, char *const *ids, size_t n_ids, Openim__Sdkws__GroupInfo ***out, size_t *n);

/* By name, then age; dismissed ones are left out (rest.md B.4). */
int logic_group_joined_ids(struct logic_call *call, const char *user_id, char ***ids, size_t *n);

/* By role, then age. */
int logic_group_member_ids(struct logic_call *call, const char *group_id, char ***ids, size_t *n);

/* member[i]: op is a member of group_ids[i], which are distinct, or an administrator of the application. */
int logic_group_members_which(struct logic_call *call, char *const *group_ids, size_t n, bool *member);

/* 1002 unless op is a member of all n groups, which are distinct, or an administrator of the application. */
int logic_group_members_check(struct logic_call *call, char *const *group_ids, size_t n);

/* ---- who did it (group_row.c) ---- */

/* A member as tips show it; for who is none (any more), its profile, without a role. */
int logic_group_member_or_profile(struct logic_call *call, const char *group_id, char *user_id, Openim__Sdkws__GroupMemberFullInfo **out);

/* The opUser of tips: op's member row; for who is no member, its profile (rest.md E; C.5 for app administrators). */
int logic_group_op_user(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo **out);

/* The group's row as tips carry it, read again inside the transaction. */
int logic_group_info(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupInfo **out);

/* ---- members come and go (group_row.c), inside the transaction, the group's row locked ---- */

/* Inserts the rows (userID, roleLevel, joinSource, operatorUserID, inviterUserID, nickname, faceURL, ex, muteEndTime as given, joinTime
 * now), counts, writes the member log (one step, out) and the join logs, makes their conversations readable (conversation.h), tells
 * gateways and caches. create: a new group, whose conversation rows come with its first message. */
int logic_group_add(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n,
                    bool create, struct logic_version *out);

/* As logic_group_add, but the member log goes in steps of so many members: out[i] is the document after the i-th. */
int logic_group_add_in_steps(struct logic_call *call, const char *group_id, Openim__Sdkws__GroupMemberFullInfo *const *members, size_t n,
                             size_t step, bool create, struct logic_version *out);

/* Deletes the rows, counts, writes the logs, freezes what the users may read (conversation.h), tells gateways and caches. */
int logic_group_remove(struct logic_call *call, const char *group_id, char *const *users, size_t n, struct logic_version *out);

/* ---- requests to join (group_apply.c) ---- */

/* Pending requests of users with reqMsg, ex, joinSource and inviterUserID as in `like`; earlier ones of them are replaced. */
int logic_group_requests_put(struct logic_call *call, const char *group_id, char *const *users, size_t n,
                             const Openim__Sdkws__GroupRequest *like);

/* N1503 of those requests of users that are still pending, to the managers, the applicant and op. applicant: who asks, the inviter if there
 * is one. */
int logic_group_requests_notify(struct logic_call *call, const char *group_id, char *const *users, size_t n, char *applicant);

/* ---- notices of those who came (group_join.c); group as it is after that ---- */

/* N1509. */
int logic_group_invited_notify(struct logic_call *call, const Openim__Sdkws__GroupInfo *group, char *const *users, size_t n, char *inviter,
                               const struct logic_version *version, enum logic_choice visible);
/* N1510. */
int logic_group_enter_notify(struct logic_call *call, const Openim__Sdkws__GroupInfo *group, char *user_id,
                             const struct logic_version *version);

/* ---- a member is silenced (group_member.c) ---- */

/* Sets the end of a member's silence, seconds from now, or ends it (0): row, log and notice. The caller holds the group and has asked
 * for the right. */
int logic_group_member_mute(struct logic_call *call, const char *group_id, char *user_id, uint32_t seconds);

/* ---- notices (group_row.c) ---- */

/* A notice of the group to its members, from op. */
int logic_group_notify(struct logic_call *call, int32_t type, const char *group_id, const ProtobufCMessage *tips,
                       enum logic_choice visible);

/* As logic_group_notify; `also` are told though they left. */
int logic_group_notify_left(struct logic_call *call, int32_t type, const char *group_id, const ProtobufCMessage *tips,
                            enum logic_choice visible, char *const *also, size_t n_also);

#endif
