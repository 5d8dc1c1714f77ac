/*
 * What the gateway of a new connection is told before it takes requests from it: all groups of the user (docs/records.md, Groups at the
 * gateways). rpc_request.c calls it for CONNECTED, and once in a while for those that could not be answered at once: a store that is away
 * must not stop the lane. Who is not answered in time is sent away by the gateway and comes again.
 */
#include "rpc.h"

#include "oim_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WAIT_MS 30000    /* gateways give up sooner */
#define AGAIN_MS 200
#define WAITING_MAX 20000

/* A connection whose gateway has no answer yet. */
struct logic_waiting {
    struct logic_waiting *next;
    int64_t since;
    uint64_t conn_id;
    char *user_id; /* behind the gateway */
    char gateway[];
};

/* One statement, so the version and the list are of one moment: the first is the row without a group. */
static int groups_load(struct logic_lane *lane, const char *user_id, Openim__Internal__Groups *out)
{
    static const char sql[] =
        "SELECT '', COALESCE((SELECT version FROM version_docs WHERE kind = 2 AND owner_id = ?), 0)"
        " UNION ALL SELECT m.group_id, 0 FROM group_members m JOIN chat_groups g ON g.group_id = m.group_id"
        " WHERE m.user_id = ? AND g.status <> 2";
    struct oim_sql_value args[] = {oim_sql_text(user_id), oim_sql_text(user_id)};
    struct oim_sql_rows rows = {0};
    int rc = oim_sql_exec(lane->db, lane->arena, sql, args, 2, &rows, NULL);

    if (rc) return rc;
    out->joined = oim_arena_alloc(lane->arena, (rows.n + 1) * sizeof(*out->joined));
    for (size_t i = 0; i < rows.n; i++) {
        char *group_id = logic_cell_text(&rows, i, 0);

        if (*group_id) {
            out->joined[out->n_joined++] = group_id;
        } else {
            out->version = (uint64_t)logic_cell_int(&rows, i, 1);
        }
    }
    return OIM_OK;
}

static int tell(struct logic_lane *lane, const char *gateway, char *user_id, uint64_t conn_id)
{
    Openim__Internal__Groups groups = OPENIM__INTERNAL__GROUPS__INIT;
    int rc = groups_load(lane, user_id, &groups);

    if (rc) return rc;
    groups.userid = user_id;
    groups.connid = conn_id;
    groups.full = true;
    oim_downlink_groups(lane->down, gateway, &groups);
    return OIM_OK;
}

static void keep(struct logic_lane *lane, const Openim__Internal__Uplink *up)
{
    size_t gateway = strlen(up->gateway) + 1, user = strlen(up->userid) + 1;
    struct logic_waiting *w = lane->n_waiting < WAITING_MAX ? malloc(sizeof(*w) + gateway + user) : NULL;

    if (w == NULL) return;
    w->next = NULL;
    w->since = oim_mono_ms();
    w->conn_id = up->connid;
    memcpy(w->gateway, up->gateway, gateway);
    w->user_id = memcpy(w->gateway + gateway, up->userid, user);
    if (lane->n_waiting++ == 0) {
        lane->waiting = w;
        lane->again_at = oim_mono_ms() + AGAIN_MS;
    } else {
        lane->waiting_last->next = w;
    }
    lane->waiting_last = w;
}

void logic_groups_tell(struct logic_call *call)
{
    const Openim__Internal__Uplink *up = call->up;
    int rc;

    if (up->gateway[0] == '\0' || up->userid[0] == '\0') return;
    rc = tell(call->lane, up->gateway, up->userid, up->connid);
    if (rc == OIM_OK) return;
    oim_log(OIM_LOG_WARN, "groups of a connection not told yet", "user=%s conn=%" PRIu64 " why=%s", up->userid, up->connid, oim_err_name(rc));
    keep(call->lane, up);
}

static void first_drop(struct logic_lane *lane)
{
    struct logic_waiting *w = lane->waiting;

    lane->waiting = w->next;
    lane->n_waiting--;
    free(w);
}

void logic_groups_again(struct logic_lane *lane)
{
    size_t told = 0;

    if (lane->n_waiting == 0 || oim_mono_ms() < lane->again_at) return;
    while (lane->n_waiting) {
        const struct logic_waiting *w = lane->waiting;

        if (oim_mono_ms() - w->since < WAIT_MS) {
            oim_arena_reset(lane->arena);
            if (tell(lane, w->gateway, w->user_id, w->conn_id) != OIM_OK) break; /* still away */
            told++;
        }
        first_drop(lane);
    }
    lane->again_at = oim_mono_ms() + AGAIN_MS;
    if (told == 0) return;
    oim_log(OIM_LOG_INFO, "groups of connections told late", "lane=%s connections=%zu", lane->name, told);
    logic_lane_flush(lane);
}

void logic_groups_forget(struct logic_lane *lane)
{
    while (lane->n_waiting) first_drop(lane);
}
