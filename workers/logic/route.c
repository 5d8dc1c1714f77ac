/*
 * From a REST path or a WebSocket request identifier to its handler. The area files own their parts of
 * the table; this file sorts the paths once and searches. It also knows the paths of the protocol
 * (rest.md F.6) that have no handler yet, so that only unknown paths answer 404.
 */
#include "rpc.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define ROUTES_MAX 256

static const struct logic_route *const areas[] = {
    logic_auth_routes, logic_presence_routes,
    logic_user_routes, logic_profile_routes, logic_account_routes, logic_command_routes, logic_config_routes,
    logic_friend_routes, logic_friend_apply_routes, logic_friend_change_routes, logic_black_routes,
    logic_group_routes, logic_group_create_routes, logic_group_join_routes, logic_group_apply_routes, logic_group_leave_routes,
    logic_group_info_routes, logic_group_member_routes, logic_group_sync_routes,
    logic_msg_routes, logic_pull_routes, logic_send_routes, logic_batch_routes, logic_read_routes, logic_revoke_routes, logic_delete_routes,
    logic_search_routes,
    logic_conversation_routes, logic_conversation_change_routes, logic_conversation_list_routes, logic_jssdk_routes,
    logic_statistics_routes,
};

static const char *const planned[] = {
    "/config/get_config",
    "/config/get_config_list",
    "/config/get_enable_config_manager",
    "/config/reset_config",
    "/config/set_config",
    "/config/set_enable_config_manager",
    "/object/access_url",
    "/object/auth_sign",
    "/object/complete_form_data",
    "/object/complete_multipart_upload",
    "/object/initiate_form_data",
    "/object/initiate_multipart_upload",
    "/object/part_limit",
    "/object/part_size",
    "/restart",
    "/third/fcm_update_token",
    "/third/logs/delete",
    "/third/logs/search",
    "/third/logs/upload",
    "/third/set_app_badge",
};

static const struct logic_route *by_path[ROUTES_MAX], *by_ws[ROUTES_MAX];
static size_t n_path, n_ws;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static int route_compare(const void *a, const void *b)
{
    return strcmp((*(const struct logic_route *const *)a)->path, (*(const struct logic_route *const *)b)->path);
}

static int ws_compare(const void *a, const void *b)
{
    return (*(const struct logic_route *const *)a)->ws - (*(const struct logic_route *const *)b)->ws;
}

static void routes_sort(void)
{
    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        for (const struct logic_route *r = areas[i]; r->handle; r++) {
            if (r->path && n_path < ROUTES_MAX) by_path[n_path++] = r;
            if (r->ws && n_ws < ROUTES_MAX) by_ws[n_ws++] = r;
        }
    }
    qsort(by_path, n_path, sizeof(by_path[0]), route_compare);
    qsort(by_ws, n_ws, sizeof(by_ws[0]), ws_compare);
}

const struct logic_route *logic_route_rest(const char *path)
{
    size_t lo = 0, hi;

    pthread_once(&once, routes_sort);
    hi = n_path;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int order = strcmp(path, by_path[mid]->path);

        if (order == 0) return by_path[mid];
        if (order < 0) {
            hi = mid;
        } else {
            lo = mid + 1;
        }
    }
    return NULL;
}

const struct logic_route *logic_route_ws(int32_t req)
{
    pthread_once(&once, routes_sort);
    for (size_t i = 0; i < n_ws; i++) {
        if (by_ws[i]->ws == req) return by_ws[i];
    }
    return NULL;
}

bool logic_route_planned(const char *path)
{
    for (size_t i = 0; i < sizeof(planned) / sizeof(planned[0]); i++) {
        if (strcmp(path, planned[i]) == 0) return true;
    }
    return false;
}

/* ---- the page: docs/routes.md ---- */

static const char *const permissions[] = {
    [LOGIC_NONE] = "no token",
    [LOGIC_ANY] = "any user",
    [LOGIC_SELF] = "the user",
    [LOGIC_MEMBER] = "group member",
    [LOGIC_GROUP_ADMIN] = "group administrator",
    [LOGIC_GROUP_OWNER] = "group owner",
    [LOGIC_ADMIN] = "administrator",
    [LOGIC_INTERNAL] = "internal",
};
static const char *const effects[] = {[LOGIC_READ] = "read", [LOGIC_SEARCH] = "search", [LOGIC_WRITE] = "write", [LOGIC_TX] = "transaction"};

static const char page_head[] =
    "# Routes\n"
    "\n"
    "Printed by `openim-logic --print-routes` from the table that every request goes through (`workers/logic/route.c`); the test suite\n"
    "`routes` compares. Messages are those of `proto/`, in JSON as Go writes them. `-`: no data member; `*`: JSON that the handler makes.\n"
    "\n"
    "Who: `no token`; `any user` with a token; `the user` that the request names; `group member`, `group administrator` (or its owner),\n"
    "`group owner`; `administrator`: of `general.admin_users`, who may do everything. Effect: a `read` changes nothing; a `search` is a\n"
    "read that may take long and keeps nobody else waiting; a `transaction` changes rows and leaves notices in one step (docs/records.md,\n"
    "Changes); a `write` is complete in itself.\n";
/* The road of its own: msg_lane.c. */
#define WS_SEND 1003
static const char send_row[] = "| %d | the user | write | sdkws.MsgData | msg.sendMsgResp |\n";
static const char table_head[] = " | who | effect | request | data |\n| --- | --- | --- | --- | --- |\n";

/* Without the package that all have. */
static const char *message_name(const ProtobufCMessageDescriptor *d)
{
    static const char package[] = "openim.";

    return strncmp(d->name, package, sizeof(package) - 1) ? d->name : d->name + sizeof(package) - 1;
}

static void print_row(FILE *out, const struct logic_route *r)
{
    fprintf(out, " | %s | %s | %s | %s |\n", permissions[r->permission], effects[r->effect], r->req ? message_name(r->req) : "*",
            r->res == NULL && r->permission != LOGIC_INTERNAL ? "*" : r->res && r->res->n_fields ? message_name(r->res) : "-");
}

/* "/user" of "/user/get_users". */
static size_t area_length(const char *path)
{
    return strcspn(path + 1, "/") + 1;
}

void logic_route_print(FILE *out)
{
    const char *area = "";

    pthread_once(&once, routes_sort);
    fputs(page_head, out);
    for (size_t i = 0; i < n_path; i++) {
        const struct logic_route *r = by_path[i];
        size_t n = area_length(r->path);

        if (strlen(area) < n || strncmp(area, r->path, n) || area[n] != '/') {
            fprintf(out, "\n## %.*s%s\n\n| path%s", (int)n, r->path, r->permission == LOGIC_INTERNAL ? ": tasks of our own" : "",
                    table_head);
        }
        area = r->path;
        fprintf(out, "| `%s`", r->path);
        print_row(out, r);
    }
    fprintf(out, "\n## WebSocket\n\n| request%s", table_head);
    for (size_t i = 0; i < n_ws; i++) {
        if (by_ws[i]->ws > WS_SEND && (i == 0 || by_ws[i - 1]->ws < WS_SEND)) fprintf(out, send_row, WS_SEND);
        fprintf(out, "| %d", by_ws[i]->ws);
        print_row(out, by_ws[i]);
    }
}
