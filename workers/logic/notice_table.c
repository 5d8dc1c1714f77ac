/*
 * What each notification does (messages.md 11.3): whether a copy of it is seen in the chat, whether it is stored in the n_ conversation,
 * whether it is pushed to phones that are offline, and with which words. The table below is how it is by default, notice_text.c has the
 * words; a file of the operator's changes both (notification.file in openim.conf): a section for each name, as upstream's
 * notification.yml has them. Read by notify.c.
 */
#include "notify.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define N(array) (sizeof(array) / sizeof((array)[0]))

static const struct logic_notice_rule defaults[] = {
    {LOGIC_N_FRIEND_APPROVED, "friendApplicationApproved", true, false, true, "", "", ""},
    {LOGIC_N_FRIEND_REJECTED, "friendApplicationRejected", false, false, true, "", "", ""},
    {LOGIC_N_FRIEND_APPLICATION, "friendApplicationAdded", false, false, true, "", "", ""},
    {LOGIC_N_FRIEND_DELETED, "friendDeleted", false, false, false, "", "", ""},
    {LOGIC_N_FRIEND_REMARK, "friendRemarkSet", false, false, false, "", "", ""},
    {LOGIC_N_BLACK_ADDED, "blackAdded", false, false, false, "", "", ""},
    {LOGIC_N_BLACK_DELETED, "blackDeleted", false, false, false, "", "", ""},
    {LOGIC_N_FRIEND_INFO, "friendInfoUpdated", false, false, false, "", "", ""},
    {LOGIC_N_FRIENDS_INFO, "friendInfoUpdated", false, false, false, "", "", ""},
    {LOGIC_N_CONVERSATION, "conversationChanged", false, false, false, "", "", ""},
    {LOGIC_N_USER_INFO, "userInfoUpdated", false, false, false, "", "", ""},
    {LOGIC_N_GROUP_CREATED, "groupCreated", true, false, false, "", "", ""},
    {LOGIC_N_GROUP_INFO, "groupInfoSet", false, false, false, "", "", ""},
    {LOGIC_N_JOIN_APPLICATION, "joinGroupApplication", false, false, true, "", "", ""},
    {LOGIC_N_MEMBER_QUIT, "memberQuit", true, false, false, "", "", ""},
    {LOGIC_N_APPLICATION_ACCEPTED, "groupApplicationAccepted", false, false, true, "", "", ""},
    {LOGIC_N_APPLICATION_REJECTED, "groupApplicationRejected", false, false, true, "", "", ""},
    {LOGIC_N_GROUP_TRANSFERRED, "groupOwnerTransferred", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_KICKED, "memberKicked", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_INVITED, "memberInvited", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_ENTER, "memberEnter", true, false, false, "", "", ""},
    {LOGIC_N_GROUP_DISMISSED, "groupDismissed", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_MUTED, "groupMemberMuted", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_UNMUTED, "groupMemberCancelMuted", true, false, false, "", "", ""},
    {LOGIC_N_GROUP_MUTED, "groupMuted", true, false, false, "", "", ""},
    {LOGIC_N_GROUP_UNMUTED, "groupCancelMuted", true, false, false, "", "", ""},
    {LOGIC_N_MEMBER_INFO, "groupMemberInfoSet", false, false, false, "", "", ""},
    {LOGIC_N_MEMBER_TO_ADMIN, "groupMemberSetToAdmin", false, false, false, "", "", ""},
    {LOGIC_N_MEMBER_TO_ORDINARY, "groupMemberSetToOrdinaryUser", false, false, false, "", "", ""},
    {LOGIC_N_GROUP_ANNOUNCEMENT, "groupInfoSetAnnouncement", true, false, false, "", "", ""},
    {LOGIC_N_GROUP_NAME, "groupInfoSetName", true, false, false, "", "", ""},
    {LOGIC_N_CONVERSATION_PRIVATE, "conversationSetPrivate", true, false, false, "", "", ""},
    {LOGIC_N_REVOKE, "", false, true, false, "", "", ""},
    {LOGIC_N_DELETE, "", false, true, false, "", "", ""},
    {LOGIC_N_READ, "", false, true, false, "", "", ""},
};

#define RULES N(defaults)

/* As they are in this process: logic_notice_load fills it before the lanes start, nobody changes it after that. */
static struct logic_notice_rule rules[RULES];
static char *words_read[RULES][3]; /* what rules point to where a file has words of its own */

const struct logic_notice_rule *logic_notice_rule(int32_t type)
{
    static const struct logic_notice_rule other = {0, "", false, false, false, "", "", ""};

    for (size_t i = 0; i < RULES; i++) {
        if (defaults[i].type == type) return rules[i].type ? &rules[i] : &defaults[i];
    }
    return &other;
}

/* ---- the operator's file ---- */

struct reading {
    const char *path;
    int err;
};

static bool boolean(struct reading *r, const char *section, const char *name, const char *value, bool *out)
{
    *out = strcasecmp(value, "true") == 0;
    if (*out || strcasecmp(value, "false") == 0) return true;
    fprintf(stderr, "%s: %s of [%s] is true or false, not \"%s\"\n", r->path, name, section, value);
    return false;
}

/* The place of a word in the rule, and of the copy that the rule points to. */
static const char **word_find(struct logic_notice_rule *rule, const char *name, char ***copy)
{
    static const char *const names[3] = {"title", "desc", "ext"};
    const char **words[3] = {&rule->title, &rule->text, &rule->ex};

    for (int i = 0; i < 3; i++) {
        if (strcmp(name, names[i])) continue;
        *copy = &words_read[rule - rules][i];
        return words[i];
    }
    return NULL;
}

/* One line for one rule. */
static bool rule_set(struct reading *r, struct logic_notice_rule *rule, const char *name, const char *value)
{
    char **copy;
    const char **word = word_find(rule, name, &copy);

    if (word) {
        free(*copy);
        *word = *copy = strdup(value);
        return *copy != NULL;
    }
    if (strcmp(name, "isSendMsg") == 0) return boolean(r, rule->name, name, value, &rule->visible);
    if (strcmp(name, "offlinePush") == 0) return boolean(r, rule->name, name, value, &rule->offline_push);
    fprintf(stderr, "%s: there is no %s in [%s]; isSendMsg, offlinePush, title, desc and ext are\n", r->path, name, rule->name);
    return false;
}

/* A name may stand for several types. */
static int ini_line(void *ctx, const char *section, const char *name, const char *value)
{
    struct reading *r = ctx;
    bool known = false, good = true;

    for (size_t i = 0; i < RULES && section[0] && good; i++) {
        if (strcmp(rules[i].name, section)) continue;
        known = true;
        good = rule_set(r, &rules[i], name, value);
    }
    if (!known) {
        fprintf(stderr, "%s: there is no notification [%s]; --print-notifications lists all\n", r->path, section);
    }
    if (!known || !good) r->err = OIM_EPARSE;
    return 1;
}

int logic_notice_load(const char *language, const char *path)
{
    struct reading r = {.path = path, .err = OIM_OK};
    int line = 0;

    for (size_t i = 0; i < RULES; i++) {
        const struct logic_notice_words *words = logic_notice_words(defaults[i].name, language);

        rules[i] = defaults[i];
        rules[i].title = words->title;
        rules[i].text = words->text;
        for (int w = 0; w < 3; w++) {
            free(words_read[i][w]);
            words_read[i][w] = NULL;
        }
    }
    if (path[0]) line = ini_parse(path, ini_line, &r);
    if (line < 0) fprintf(stderr, "%s: cannot be read: %s\n", path, strerror(errno));
    if (line > 0) fprintf(stderr, "%s: line %d is no section, no \"name = value\", or too long\n", path, line);
    return line ? OIM_EPARSE : r.err;
}

void logic_notice_print(FILE *out, const char *language)
{
    fprintf(out, "; What each notification does; notification.file in openim.conf names a file like this. isSendMsg: a copy is seen in the\n"
                 "; chat. offlinePush: phones that are offline are told, with title, desc and, for the application behind them, ext. A\n"
                 "; line holds 190 bytes at most.\n");
    for (size_t i = 0; i < RULES; i++) {
        const struct logic_notice_rule *rule = &defaults[i];
        const struct logic_notice_words *words = logic_notice_words(rule->name, language);

        if (rule->name[0] == '\0' || (i && strcmp(rule->name, defaults[i - 1].name) == 0)) continue;
        fprintf(out, "\n[%s]\n; isSendMsg = %s\n; offlinePush = %s\n; title = %s\n; desc = %s\n; ext =\n", rule->name,
                rule->visible ? "true" : "false", rule->offline_push ? "true" : "false", words->title, words->text);
    }
}
