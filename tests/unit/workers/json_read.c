/* oim_json_decode, oim_json_parse: what is taken, what is refused (rest.md A.4, proto-catalogue.md 2). */
#include "unit.h"

#include "oim_arena.h"
#include "oim_err.h"
#include "oim_json.h"

#include "group.pb-c.h"
#include "msg.pb-c.h"
#include "sdkws.pb-c.h"
#include "user.pb-c.h"
#include "wrappers.pb-c.h"

#include <stdio.h>
#include <string.h>

static struct oim_arena *arena;

static int setup(void **state)
{
    arena = oim_arena_new(4096);
    return arena == NULL;
}

static int teardown(void **state)
{
    oim_arena_free(arena);
    return 0;
}

/* A body is a copy of its exact size, so that a sanitizer sees every byte read too far. */
static void *read_bytes(const ProtobufCMessageDescriptor *d, const char *body, size_t len)
{
    ProtobufCMessage *msg = NULL;
    const char *why = NULL;
    uint8_t *copy = test_malloc(len + !len);
    int err;

    memcpy(copy, body, len);
    err = oim_json_decode(arena, d, copy, len, &msg, &why);
    test_free(copy);
    if (err == OIM_OK) return msg;
    assert_int_equal(err, OIM_EPARSE);
    assert_non_null(why);
    assert_true(strlen(why) > 0);
    return NULL;
}

static void *read_text(const ProtobufCMessageDescriptor *d, const char *body)
{
    return read_bytes(d, body, strlen(body));
}

#define MSG(body) ((Openim__Sdkws__MsgData *)read_text(&openim__sdkws__msg_data__descriptor, body))

static void all_types(void **state)
{
    Openim__Sdkws__MsgData *m = MSG("{\"sendID\":\"a\",\"content\":\"eyJ9\",\"seq\":9007199254740993,\"isRead\":true,\"contentType\":-5,"
                                    "\"offlinePushInfo\":{\"title\":\"t\"},\"atUserIDList\":[\"x\",null,\"y\"],"
                                    "\"options\":{\"b\":true,\"a\":false,\"b\":false},\"unknown\":[{\"a\":[1,2.5,null,\"\\u0041\"]}]}");

    assert_non_null(m);
    assert_string_equal(m->sendid, "a");
    assert_string_equal(m->recvid, "");
    assert_int_equal(m->content.len, 3);
    assert_memory_equal(m->content.data, "{\"}", 3);
    assert_true(m->seq == 9007199254740993);
    assert_true(m->isread);
    assert_int_equal(m->contenttype, -5);
    assert_string_equal(m->offlinepushinfo->title, "t");
    assert_int_equal(m->n_atuseridlist, 3);
    assert_string_equal(m->atuseridlist[1], "");
    assert_string_equal(m->atuseridlist[2], "y");
    assert_int_equal(m->n_options, 2);
    assert_string_equal(m->options[0]->key, "a");
    assert_string_equal(m->options[1]->key, "b");
    assert_false(m->options[1]->value);
}

static void keys(void **state)
{
    Openim__Sdkws__MsgData *m = MSG("{\"SENDID\":\"1\",\"recvid\":\"2\",\"\\u0067roupID\":\"3\",\"senderNic\xe2\x84\xaaname\":\"4\"}");

    assert_string_equal(m->sendid, "1");
    assert_string_equal(m->recvid, "2");
    assert_string_equal(m->groupid, "3");
    assert_string_equal(m->sendernickname, "4");
    m = MSG("{\"sendID\":\"1\",\"SENDID\":\"2\"}");
    assert_string_equal(m->sendid, "2");
    m = MSG("{\"sendID\":\"1\",\"sendID\":null,\"seq\":3,\"seq\":4}");
    assert_string_equal(m->sendid, "1");
    assert_int_equal(m->seq, 4);
    m = MSG("{\"sendID\\u0000\":\"1\",\"sendI\":\"1\",\"sendIDD\":\"1\",\"\":\"1\"}");
    assert_string_equal(m->sendid, "");
    m = MSG("{\"offlinePushInfo\":{\"title\":\"t\"},\"offlinePushInfo\":{\"desc\":\"d\"},\"atUserIDList\":[\"a\",\"b\"],\"atUserIDList\":[\"c\"],"
            "\"options\":{\"x\":true},\"options\":{\"y\":true}}");
    assert_string_equal(m->offlinepushinfo->title, "t");
    assert_string_equal(m->offlinepushinfo->desc, "d");
    assert_int_equal(m->n_atuseridlist, 1);
    assert_int_equal(m->n_options, 2);
}

/* Every field of a large message is found by its own name and in upper case. */
static void every_key(void **state)
{
    const ProtobufCMessageDescriptor *d = &openim__sdkws__group_info__descriptor;

    for (unsigned i = 0; i < d->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &d->fields[d->n_fields - 1 - i];
        char body[128], name[64];
        ProtobufCMessage *m;

        for (int upper = 0; upper < 2; upper++) {
            snprintf(name, sizeof(name), "%s", f->name);
            for (char *p = name; upper && *p; p++) *p = (char)(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
            snprintf(body, sizeof(body), "{\"%s\":%s}", name, f->type == PROTOBUF_C_TYPE_STRING ? "\"7\"" : "7");
            m = read_text(d, body);
            assert_non_null(m);
            if (f->type == PROTOBUF_C_TYPE_STRING) {
                assert_string_equal(*(char **)((char *)m + f->offset), "7");
            } else {
                assert_int_equal(*(int32_t *)((char *)m + f->offset), 7);
            }
        }
    }
}

static void nulls(void **state)
{
    Openim__Sdkws__MsgData *m = MSG("null");
    Openim__User__UserRegisterReq *r;

    assert_string_equal(m->sendid, "");
    assert_non_null(MSG(" \t\r\n{} "));
    m = MSG("{\"sendID\":null,\"seq\":null,\"isRead\":null,\"content\":null,\"offlinePushInfo\":null,\"atUserIDList\":null,\"options\":null}");
    assert_non_null(m);
    m = MSG("{\"content\":\"YQ==\",\"content\":null,\"atUserIDList\":[\"a\"],\"atUserIDList\":null,\"options\":{\"x\":null}}");
    assert_int_equal(m->content.len, 0);
    assert_int_equal(m->n_atuseridlist, 0);
    assert_false(m->options[0]->value);
    r = read_text(&openim__user__user_register_req__descriptor, "{\"users\":[null]}");
    assert_int_equal(r->n_users, 1);
    assert_string_equal(r->users[0]->userid, "");
}

static void refusals(void **state)
{
    static const char *const bodies[] = {
        "", "   ", "[]", "\"x\"", "5", "true", "{", "{\"sendID\"", "{\"sendID\":", "{\"sendID\":\"", "{\"sendID\":\"x\"",
        "{\"sendID\":\"x\",}", "{,}", "{} x", "{}{}", "{'sendID':'x'}", "{\"x\":1 /* c */}", "{\"sendID\":\"a\x01\"}",
        "\xef\xbb\xbf{}", "nul", "nullx", "{\"sendID\":5}", "{\"sendID\":true}", "{\"sendID\":{}}", "{\"sendID\":[]}",
        "{\"seq\":\"5\"}", "{\"seq\":5.0}", "{\"seq\":5e2}", "{\"seq\":1E0}", "{\"seq\":01}", "{\"seq\":-}", "{\"seq\":+1}",
        "{\"seq\":.5}", "{\"seq\":1.}", "{\"seq\":1e}", "{\"seq\":9223372036854775808}", "{\"seq\":-9223372036854775809}",
        "{\"seq\":99999999999999999999999999}", "{\"seq\":true}", "{\"seq\":NaN}", "{\"contentType\":2147483648}",
        "{\"contentType\":-2147483649}", "{\"isRead\":1}", "{\"isRead\":\"true\"}", "{\"isRead\":tru}", "{\"content\":\"hi there\"}",
        "{\"content\":\"YQ\"}", "{\"content\":\"YQ=\"}", "{\"content\":\"YQ===\"}", "{\"content\":\"=\"}", "{\"content\":\"YQ==YQ==\"}",
        "{\"content\":\"__8=\"}", "{\"content\":[256]}", "{\"content\":[-1]}", "{\"content\":[1.5]}", "{\"content\":5}",
        "{\"offlinePushInfo\":[]}", "{\"offlinePushInfo\":\"x\"}", "{\"atUserIDList\":\"x\"}", "{\"atUserIDList\":{}}",
        "{\"atUserIDList\":[1]}", "{\"atUserIDList\":[\"a\",]}", "{\"options\":[]}", "{\"options\":{\"a\":1}}", "{\"options\":{a:true}}",
        "{\"x\":\"\\x\"}", "{\"x\":\"\\u12\"}", "{\"x\":\"\\u12g4\"}", "{\"x\":[1 2]}", "{\"x\":{\"a\" 1}}", "{\"x\":01}", "{\"x\":fals}",
        "{\"x\":\"\\", "{\"x\":\"\\u", "{\"x\":[}", "{\"x\":{]}", "{\"\\ud83d", "{1:2}",
    };

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (MSG(bodies[i])) fail_msg("taken: %s", bodies[i]);
    }
    assert_null(read_bytes(&openim__sdkws__msg_data__descriptor, "{}\0", 3));
    assert_null(read_bytes(&openim__sdkws__msg_data__descriptor, "{\"x\":\"\\\0\"}", 9));
}

static void number_bounds(void **state)
{
    Openim__Sdkws__MsgData *m = MSG("{\"seq\":9223372036854775807,\"sendTime\":-9223372036854775808,\"contentType\":-2147483648,"
                                    "\"sessionType\":2147483647,\"status\":-0}");
    Openim__Protobuf__UInt64Value *u;
    Openim__Protobuf__UInt32Value *v;

    assert_true(m->seq == INT64_MAX);
    assert_true(m->sendtime == INT64_MIN);
    assert_true(m->contenttype == INT32_MIN);
    assert_true(m->sessiontype == INT32_MAX);
    assert_int_equal(m->status, 0);
    u = read_text(&openim__protobuf__uint64_value__descriptor, "{\"value\":18446744073709551615}");
    assert_true(u->value == UINT64_MAX);
    assert_null(read_text(&openim__protobuf__uint64_value__descriptor, "{\"value\":18446744073709551616}"));
    assert_null(read_text(&openim__protobuf__uint64_value__descriptor, "{\"value\":-1}"));
    assert_null(read_text(&openim__protobuf__uint64_value__descriptor, "{\"value\":-0}"));
    v = read_text(&openim__protobuf__uint32_value__descriptor, "{\"value\":4294967295}");
    assert_true(v->value == UINT32_MAX);
    assert_null(read_text(&openim__protobuf__uint32_value__descriptor, "{\"value\":4294967296}"));
}

static void texts(void **state)
{
    Openim__Sdkws__MsgData *m = MSG("{\"sendID\":\"\\u0061\\/\\ud83d\\ude00\\b\\f\\n\\r\\t\\\"\\\\\"}");

    assert_string_equal(m->sendid, "a/\xf0\x9f\x98\x80\b\f\n\r\t\"\\");
    assert_string_equal(MSG("{\"sendID\":\"\\ud83dx\"}")->sendid, "\xef\xbf\xbdx");
    assert_string_equal(MSG("{\"sendID\":\"\\ude00\\ud83d\\u0041\"}")->sendid, "\xef\xbf\xbd\xef\xbf\xbd" "A");
    assert_string_equal(MSG("{\"sendID\":\"\\ud83d\\ud83d\\ude00\"}")->sendid, "\xef\xbf\xbd\xf0\x9f\x98\x80");
    /* one for each bad byte: cut, overlong, surrogate, beyond the last plane */
    assert_string_equal(MSG("{\"sendID\":\"\xff\xc3(\xe2\x82|\xc0\x80\"}")->sendid,
                        "\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd|\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(MSG("{\"sendID\":\"\xed\xa0\x80\xf4\x90\x80\x80\"}")->sendid,
                        "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
    assert_string_equal(MSG("{\"sendID\":\"\xe4\xbd\xa0\xe5\xa5\xbd\x7f\"}")->sendid, "\xe4\xbd\xa0\xe5\xa5\xbd\x7f");
    /* no id may be cut by a NUL */
    assert_string_equal(MSG("{\"sendID\":\"imAdmin\\u0000x\"}")->sendid, "imAdmin\xef\xbf\xbdx");
    assert_string_equal(MSG("{\"options\":{\"a\\u0000\":true}}")->options[0]->key, "a\xef\xbf\xbd");
}

static void byte_fields(void **state)
{
    assert_memory_equal(MSG("{\"content\":\"YWI=\"}")->content.data, "ab", 2);
    assert_memory_equal(MSG("{\"content\":\"YWJj\"}")->content.data, "abc", 3);
    assert_int_equal(MSG("{\"content\":\"+/+/\"}")->content.len, 3);
    assert_int_equal(MSG("{\"content\":\"Y\\nQ=\\r\\n=\"}")->content.len, 1);
    assert_int_equal(MSG("{\"content\":\"\"}")->content.len, 0);
    assert_memory_equal(MSG("{\"content\":[97,null,255]}")->content.data, "a\0\xff", 3);
    assert_int_equal(MSG("{\"content\":[]}")->content.len, 0);
}

static void wrappers(void **state)
{
    const ProtobufCMessageDescriptor *d = &openim__sdkws__user_info_with_ex__descriptor;
    Openim__Sdkws__UserInfoWithEx *u = read_text(d, "{\"nickname\":\"n\",\"globalRecvMsgOpt\":2,\"ex\":null}");
    Openim__Conversation__ConversationReq *c;
    const ProtobufCMessageDescriptor *cd = &openim__conversation__conversation_req__descriptor;

    assert_string_equal(u->nickname->value, "n");
    assert_int_equal(u->globalrecvmsgopt->value, 2);
    assert_null(u->ex);
    assert_null(u->faceurl);
    assert_null(((Openim__Sdkws__UserInfoWithEx *)read_text(d, "{\"nickname\":\"n\",\"nickname\":null}"))->nickname);
    assert_null(read_text(d, "{\"nickname\":{\"value\":\"n\"}}"));
    assert_null(read_text(d, "{\"nickname\":1}"));
    assert_null(read_text(d, "{\"globalRecvMsgOpt\":\"2\"}"));
    assert_null(read_text(d, "{\"globalRecvMsgOpt\":2.0}"));
    assert_null(read_text(d, "{\"globalRecvMsgOpt\":2147483648}"));
    c = read_text(cd, "{\"isPinned\":1,\"isPrivateChat\":false,\"isMsgDestruct\":0}");
    assert_true(c->ispinned->value);
    assert_false(c->isprivatechat->value);
    assert_false(c->ismsgdestruct->value);
    assert_null(read_text(cd, "{\"isPinned\":2}"));
    assert_null(read_text(cd, "{\"isPinned\":1.0}"));
    assert_null(read_text(cd, "{\"isPinned\":\"true\"}"));
    assert_null(read_text(cd, "{\"isPinned\":{}}"));
}

static void optional_scalars(void **state)
{
    const ProtobufCMessageDescriptor *d = &openim__group__create_group_req__descriptor;
    Openim__Group__CreateGroupReq *r = read_text(d, "{}");

    assert_int_equal(r->_send_message_case, 0);
    r = read_text(d, "{\"sendMessage\":false}");
    assert_int_equal(r->_send_message_case, 5);
    assert_false(r->sendmessage);
    r = read_text(d, "{\"sendMessage\":true,\"sendMessage\":null}");
    assert_int_equal(r->_send_message_case, 0);
    assert_null(read_text(d, "{\"sendMessage\":1}"));
}

static void floats(void **state)
{
    Openim__Protobuf__DoubleValue *d = read_text(&openim__protobuf__double_value__descriptor, "{\"value\":-1.5e3}");

    assert_true(d->value == -1500);
    assert_null(read_text(&openim__protobuf__double_value__descriptor, "{\"value\":1e999}"));
    assert_null(read_text(&openim__protobuf__double_value__descriptor, "{\"value\":\"1\"}"));
    assert_null(read_text(&openim__protobuf__float_value__descriptor, "{\"value\":1e39}"));
}

static void bounds(void **state)
{
    size_t n = 200000;
    char *body = test_malloc(n + 64);
    char *p = body;
    Openim__Sdkws__MsgData *m;

    /* depth: 63 lists in the object are the last that go */
    for (int depth = 63; depth <= 64; depth++) {
        p = body + sprintf(body, "{\"x\":");
        memset(p, '[', (size_t)depth);
        memset(p + depth, ']', (size_t)depth);
        strcpy(p + 2 * depth, "}");
        m = MSG(body);
        assert_true((m != NULL) == (depth == 63));
    }
    memset(body, '[', n);
    assert_null(read_bytes(&openim__sdkws__msg_data__descriptor, body, n));
    memcpy(body, "{\"x\":", 5);
    assert_null(read_bytes(&openim__sdkws__msg_data__descriptor, body, n));
    test_free(body);

    /* memory: many cheap objects */
    n = 1000000;
    body = test_malloc(3 * n + 64);
    p = body + sprintf(body, "{\"users\":[");
    for (size_t i = 0; i < n; i++) p = (char *)memcpy(p, "{},", 3) + 3;
    strcpy(p - 1, "]}");
    assert_null(read_text(&openim__user__user_register_req__descriptor, body));
    oim_arena_reset(arena);
    memcpy(body, "{\"users\":[{}]}", 15);
    assert_non_null(read_text(&openim__user__user_register_req__descriptor, body));
    test_free(body);
}

static void a_long_list(void **state)
{
    char *body = test_malloc(100000), *p = body + sprintf(body, "{\"atUserIDList\":[\"0\"");
    Openim__Sdkws__MsgData *m;

    for (int i = 1; i < 5000; i++) p += sprintf(p, ",\"%d\"", i);
    strcpy(p, "]}");
    m = MSG(body);
    assert_int_equal(m->n_atuseridlist, 5000);
    for (int i = 0; i < 5000; i++) assert_int_equal(atoi(m->atuseridlist[i]), i);
    test_free(body);
}

/* ---- free-form ---- */

static json_t *parse(const char *body)
{
    json_t *v = NULL;
    const char *why = NULL;

    if (oim_json_parse((const uint8_t *)body, strlen(body), &v, arena, &why) == OIM_OK) return v;
    assert_non_null(why);
    return NULL;
}

static void tree(void **state)
{
    json_t *v = parse("{\"a\":[1,-2.5,true,false,null,\"x\\u0000y\"],\"B\":{\"\":18446744073709551615},\"a2\":1,\"a2\":2}");

    assert_int_equal(json_integer_value(json_array_get(json_object_get(v, "a"), 0)), 1);
    assert_true(json_real_value(json_array_get(json_object_get(v, "a"), 1)) == -2.5);
    assert_int_equal(json_string_length(json_array_get(json_object_get(v, "a"), 5)), 3);
    assert_true(json_is_real(json_object_get(oim_json_get(v, "b"), "")));
    assert_int_equal(json_integer_value(oim_json_get(v, "A2")), 2);
    assert_null(oim_json_get(v, "c"));
    assert_null(oim_json_get(NULL, "c"));
    json_decref(v);
    v = parse("{\"ab\":1,\"AB\":2}");
    assert_int_equal(json_integer_value(oim_json_get(v, "ab")), 1);
    assert_int_equal(json_integer_value(oim_json_get(v, "Ab")), 2);
    json_decref(v);
    json_decref(parse("5"));
    json_decref(parse("\"\xff\""));
    assert_null(parse(""));
    assert_null(parse("{\"a\":[1,{\"b\":\"c\"},"));
    assert_null(parse("[1e999]"));
    assert_null(parse("[1]]"));
}

static void tree_into_message(void **state)
{
    json_t *v = parse("{\"m\":{\"sendID\":\"\xff<\",\"seq\":7}}");
    ProtobufCMessage *m;
    const char *why;

    assert_int_equal(oim_json_decode_value(arena, &openim__sdkws__msg_data__descriptor, oim_json_get(v, "m"), &m, &why), OIM_OK);
    assert_string_equal(((Openim__Sdkws__MsgData *)m)->sendid, "\xef\xbf\xbd<");
    assert_int_equal(oim_json_decode_value(arena, &openim__sdkws__msg_data__descriptor, NULL, &m, &why), OIM_OK);
    json_decref(v);
    v = parse("{\"seq\":1.0}");
    assert_int_equal(oim_json_decode_value(arena, &openim__sdkws__msg_data__descriptor, v, &m, &why), OIM_EPARSE);
    json_decref(v);
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    T(all_types), T(keys), T(every_key), T(nulls), T(refusals), T(number_bounds), T(texts), T(byte_fields), T(wrappers),
    T(optional_scalars), T(floats), T(bounds), T(a_long_list), T(tree), T(tree_into_message),
};
UNIT_GROUP(unit_json_read, "json to protobuf", tests, NULL);
