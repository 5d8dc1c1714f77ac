/*
 * What each notification does by default (messages.md 11.3): whether a copy of it is seen in the chat, whether it is stored in the
 * n_ conversation, whether it is pushed to phones that are offline, and with which words. Pure; used by notify.c.
 */
#include "notify.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct logic_notice_rule rules[] = {
    {LOGIC_N_FRIEND_APPROVED, "friendApplicationApproved", true, false, true},
    {LOGIC_N_FRIEND_REJECTED, "friendApplicationRejected", false, false, true},
    {LOGIC_N_FRIEND_APPLICATION, "friendApplicationAdded", false, false, true},
    {LOGIC_N_FRIEND_DELETED, "friendDeleted", false, false, false},
    {LOGIC_N_FRIEND_REMARK, "friendRemarkSet", false, false, false},
    {LOGIC_N_BLACK_ADDED, "blackAdded", false, false, false},
    {LOGIC_N_BLACK_DELETED, "blackDeleted", false, false, false},
    {LOGIC_N_FRIEND_INFO, "friendInfoUpdated", false, false, false},
    {LOGIC_N_FRIENDS_INFO, "friendInfoUpdated", false, false, false},
    {LOGIC_N_CONVERSATION, "conversationChanged", false, false, false},
    {LOGIC_N_USER_INFO, "userInfoUpdated", false, false, false},
    {LOGIC_N_GROUP_CREATED, "groupCreated", true, false, false},
    {LOGIC_N_GROUP_INFO, "groupInfoSet", false, false, false},
    {LOGIC_N_JOIN_APPLICATION, "joinGroupApplication", false, false, true},
    {LOGIC_N_MEMBER_QUIT, "memberQuit", true, false, false},
    {LOGIC_N_APPLICATION_ACCEPTED, "groupApplicationAccepted", false, false, true},
    {LOGIC_N_APPLICATION_REJECTED, "groupApplicationRejected", false, false, true},
    {LOGIC_N_GROUP_TRANSFERRED, "groupOwnerTransferred", true, false, false},
    {LOGIC_N_MEMBER_KICKED, "memberKicked", true, false, false},
    {LOGIC_N_MEMBER_INVITED, "memberInvited", true, false, false},
    {LOGIC_N_MEMBER_ENTER, "memberEnter", true, false, false},
    {LOGIC_N_GROUP_DISMISSED, "groupDismissed", true, false, false},
    {LOGIC_N_MEMBER_MUTED, "groupMemberMuted", true, false, false},
    {LOGIC_N_MEMBER_UNMUTED, "groupMemberCancelMuted", true, false, false},
    {LOGIC_N_GROUP_MUTED, "groupMuted", true, false, false},
    {LOGIC_N_GROUP_UNMUTED, "groupCancelMuted", true, false, false},
    {LOGIC_N_MEMBER_INFO, "groupMemberInfoSet", false, false, false},
    {LOGIC_N_MEMBER_TO_ADMIN, "groupMemberSetToAdmin", false, false, false},
    {LOGIC_N_MEMBER_TO_ORDINARY, "groupMemberSetToOrdinaryUser", false, false, false},
    {LOGIC_N_GROUP_ANNOUNCEMENT, "groupInfoSetAnnouncement", true, false, false},
    {LOGIC_N_GROUP_NAME, "groupInfoSetName", true, false, false},
    {LOGIC_N_CONVERSATION_PRIVATE, "conversationSetPrivate", true, false, false},
    {LOGIC_N_REVOKE, "", false, true, false},
    {LOGIC_N_DELETE, "", false, true, false},
    {LOGIC_N_READ, "", false, true, false},
};

const struct logic_notice_rule *logic_notice_rule(int32_t type)
{
    static const struct logic_notice_rule other = {0, "", false, false, false};

    for (size_t i = 0; i < N(rules); i++) {
        if (rules[i].type == type) return &rules[i];
    }
    return &other;
}

const char *logic_notice_title(const struct oim_conf *conf, int32_t type)
{
    return "";
}

const char *logic_notice_text(const struct oim_conf *conf, int32_t type)
{
    return "";
}
