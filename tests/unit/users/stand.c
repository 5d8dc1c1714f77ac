/* stand.h */
#include "stand.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENTS 64
#define CELLS 64

struct answer {
    int rc;
    uint64_t affected;
    size_t n, columns;
    const char *cells[CELLS];
};

static struct answer answers[STATEMENTS];
static int n_answers, n_asked;
static struct oim_buf asked[STATEMENTS], told;
static struct logic_lane lane;
static struct oim_app app;
static Openim__Internal__Uplink up;
struct logic_call call;

int stand_setup(void **state)
{
    memset(answers, 0, sizeof(answers));
    for (int i = 0; i < STATEMENTS; i++) oim_buf_reset(&asked[i]);
    oim_buf_reset(&told);
    n_answers = n_asked = 0;
    app.conf.general.admin_users = (char *)"imAdmin, root";
    lane = (struct logic_lane){.arena = oim_arena_new(4096), .app = &app};
    openim__internal__uplink__init(&up);
    up.userid = (char *)"u1";
    call = (struct logic_call){.lane = &lane, .up = &up};
    return 0;
}

int stand_teardown(void **state)
{
    oim_arena_free(lane.arena);
    return 0;
}

void stand_rows(size_t n, size_t columns, ...)
{
    struct answer *a = &answers[n_answers++];
    va_list ap;

    *a = (struct answer){.n = n, .columns = columns, .affected = n};
    assert_true(n * columns <= CELLS);
    va_start(ap, columns);
    for (size_t i = 0; i < n * columns; i++) a->cells[i] = va_arg(ap, const char *);
    va_end(ap);
}

void stand_error(int rc)
{
    answers[n_answers++] = (struct answer){.rc = rc};
}

void stand_found(uint64_t affected)
{
    answers[n_answers++] = (struct answer){.affected = affected};
}

const char *stand_asked(int i)
{
    if (i >= n_asked) fail_msg("only %d statements", n_asked);
    oim_buf_putc(&asked[i], '\0');
    asked[i].len--;
    return (const char *)asked[i].data;
}

int stand_n_asked(void)
{
    return n_asked;
}

const char *stand_told(void)
{
    oim_buf_putc(&told, '\0');
    told.len--;
    return (const char *)told.data;
}

int stand_run(const char *path, const void *req, void *res)
{
    static const struct logic_route *const areas[] = {logic_user_routes, logic_profile_routes, logic_account_routes, logic_command_routes,
                                                      logic_config_routes, logic_statistics_routes};

    for (size_t i = 0; i < sizeof(areas) / sizeof(areas[0]); i++) {
        for (const struct logic_route *r = areas[i]; r->handle; r++) {
            if (strcmp(r->path, path) == 0) return r->handle(&call, req, res);
        }
    }
    fail_msg("no route %s", path);
    return OIM_EFATAL;
}

/* ---- the database ---- */

static void value_print(struct oim_buf *out, const struct oim_sql_value *v)
{
    switch (v->kind) {
    case OIM_SQL_INT: oim_buf_printf(out, "%" PRId64, v->i); break;
    case OIM_SQL_UINT: oim_buf_printf(out, "%" PRIu64, v->u); break;
    case OIM_SQL_TEXT: oim_buf_puts(out, v->p); break;
    default: oim_buf_puts(out, "NULL"); break;
    }
}

int oim_sql_exec(struct oim_sql *db, struct oim_arena *a, const char *sql, const struct oim_sql_value *args, size_t nargs,
                 struct oim_sql_rows *rows, uint64_t *affected)
{
    const struct answer *answer = &answers[n_asked];

    assert_true(n_asked < STATEMENTS);
    oim_buf_puts(&asked[n_asked], sql);
    for (size_t i = 0; i < nargs; i++) {
        oim_buf_puts(&asked[n_asked], i ? ", " : " | ");
        value_print(&asked[n_asked], &args[i]);
    }
    n_asked++;
    if (affected) *affected = answer->affected;
    if (rows == NULL || answer->rc) return answer->rc;
    *rows = (struct oim_sql_rows){.n = answer->n, .columns = answer->columns};
    rows->cells = oim_arena_zalloc(a, (answer->n * answer->columns + 1) * sizeof(*rows->cells));
    for (size_t i = 0; i < answer->n * answer->columns; i++) {
        const char *cell = answer->cells[i];

        rows->cells[i] = cell[0] == '#' ? oim_sql_int(atoll(cell + 1)) : oim_sql_text(cell);
    }
    return OIM_OK;
}

void oim_sql_places(struct oim_buf *buf, size_t groups, size_t k)
{
    oim_buf_printf(buf, "(%zux%zu)", groups, k);
}

struct oim_sql_value oim_sql_text_value(const char *s)
{
    if (s == NULL) return (struct oim_sql_value){.kind = OIM_SQL_NULL};
    return (struct oim_sql_value){.kind = OIM_SQL_TEXT, .p = s, .len = strlen(s)};
}

bool oim_conf_is_admin(const struct oim_conf *conf, const char *user_id)
{
    return strcmp(user_id, "imAdmin") == 0 || strcmp(user_id, "root") == 0;
}

/* ---- what others are told ---- */

void logic_changed(struct logic_call *c, const char *kind, const char *id)
{
    oim_buf_printf(&told, "%s:%s\n", kind, id);
}

int logic_notify(struct logic_call *c, const struct logic_notice *notice)
{
    oim_buf_printf(&told, "N%d %s>%s\n", notice->content_type, notice->send_id, notice->recv_id);
    return OIM_OK;
}

int logic_notify_online(struct logic_call *c, const struct logic_notice *notice, char *const *ids, size_t n)
{
    for (size_t i = 0; i < n; i++) oim_buf_printf(&told, "N%d %s>%s\n", notice->content_type, notice->send_id, ids[i]);
    return OIM_OK;
}

int logic_task(struct logic_call *c, const char *path, const char *key, const ProtobufCMessage *payload)
{
    const Openim__Internal__ProfileTask *task = (const void *)payload;

    oim_buf_printf(&told, "task %s %s %u %s\n", path, key, task->phase, task->after);
    return OIM_OK;
}

int logic_group_notify(struct logic_call *c, int32_t type, const char *group_id, const ProtobufCMessage *tips, enum logic_choice visible)
{
    const Openim__Sdkws__GroupMemberInfoSetTips *t = (const void *)tips;

    oim_buf_printf(&told, "N%d %s: %s by %s, version %" PRIu64 " of %s\n", type, group_id, t->changeduser->nickname, t->opuser->nickname,
                   t->groupmemberversion, t->groupmemberversionid);
    return OIM_OK;
}

int logic_version_write_each(struct logic_lane *l, enum logic_log kind, char *const *owners, size_t n, char *const *elements,
                             bool one_element, enum logic_state state, uint64_t *versions)
{
    assert_true(one_element);
    for (size_t i = 0; i < n; i++) oim_buf_printf(&told, "log %d %s %d %s\n", kind, owners[i], state, elements[0]);
    return OIM_OK;
}

int logic_versions(struct logic_call *c, enum logic_log kind, char *const *owners, size_t n, struct logic_version *out)
{
    for (size_t i = 0; i < n; i++) out[i] = (struct logic_version){i + 2, (char *)"doc"};
    return OIM_OK;
}

/* A group named "gone" has no row. */
int logic_groups(struct logic_call *c, char *const *ids, size_t n, Openim__Sdkws__GroupInfo **groups)
{
    for (size_t i = 0; i < n; i++) {
        groups[i] = strcmp(ids[i], "gone") ? logic_new(c, &openim__sdkws__group_info__descriptor) : NULL;
        if (groups[i]) groups[i]->groupid = ids[i];
    }
    return OIM_OK;
}

/* Rows of (user, group). */
int logic_group_members_of_rows(struct logic_call *c, const struct oim_sql_rows *rows, Openim__Sdkws__GroupMemberFullInfo ***out, size_t *n)
{
    *n = rows->n;
    *out = logic_list(c, rows->n);
    for (size_t i = 0; i < rows->n; i++) {
        (*out)[i] = logic_new(c, &openim__sdkws__group_member_full_info__descriptor);
        (*out)[i]->userid = (*out)[i]->nickname = logic_cell_text(rows, i, 0);
        (*out)[i]->groupid = logic_cell_text(rows, i, 1);
    }
    return OIM_OK;
}

/* ---- time ---- */

int64_t oim_now_ms(void)
{
    return 1700000000000;
}

int64_t oim_mono_ms(void)
{
    return 1;
}
