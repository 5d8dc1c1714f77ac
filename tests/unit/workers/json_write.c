/* oim_json_encode and its parts, against texts that Go gave (proto-catalogue.md 2). */
#include "unit.h"

#include "oim_arena.h"
#include "oim_err.h"
#include "oim_json.h"
#include "oim_json_number.h"

#include "conversation.pb-c.h"
#include "group.pb-c.h"
#include "sdkws.pb-c.h"
#include "user.pb-c.h"
#include "wrappers.pb-c.h"

#include <string.h>

static struct oim_buf buf;

static int teardown(void **state)
{
    oim_buf_free(&buf);
    return 0;
}

static const char *text(void)
{
    oim_buf_putc(&buf, '\0');
    buf.len = 0;
    return (const char *)buf.data;
}

static const char *write_msg(const void *msg)
{
    oim_json_encode(&buf, msg);
    return text();
}

static void empty_messages(void **state)
{
    Openim__Sdkws__MsgData m = OPENIM__SDKWS__MSG_DATA__INIT;
    Openim__Sdkws__GetMaxSeqResp r = OPENIM__SDKWS__GET_MAX_SEQ_RESP__INIT;
    Openim__Group__CreateGroupReq c = OPENIM__GROUP__CREATE_GROUP_REQ__INIT;

    assert_string_equal(write_msg(&m),
                        "{\"sendID\":\"\",\"recvID\":\"\",\"groupID\":\"\",\"clientMsgID\":\"\",\"serverMsgID\":\"\",\"senderPlatformID\":0,"
                        "\"senderNickname\":\"\",\"senderFaceURL\":\"\",\"sessionType\":0,\"msgFrom\":0,\"contentType\":0,\"content\":null,"
                        "\"seq\":0,\"sendTime\":0,\"createTime\":0,\"status\":0,\"isRead\":false,\"offlinePushInfo\":null,"
                        "\"atUserIDList\":null,\"attachedInfo\":\"\",\"ex\":\"\"}");
    assert_string_equal(write_msg(&r), "{}");
    assert_string_equal(write_msg(&c), "{\"memberUserIDs\":null,\"groupInfo\":null,\"adminUserIDs\":null,\"ownerUserID\":\"\",\"sendMessage\":null}");
    c._send_message_case = OPENIM__GROUP__CREATE_GROUP_REQ___SEND_MESSAGE_SEND_MESSAGE;
    assert_non_null(strstr(write_msg(&c), "\"sendMessage\":false}"));
    m.sendid = NULL;
    assert_non_null(strstr(write_msg(&m), "{\"sendID\":\"\","));
}

static void maps_and_lists(void **state)
{
    Openim__Sdkws__GetMaxSeqResp r = OPENIM__SDKWS__GET_MAX_SEQ_RESP__INIT;
    Openim__Sdkws__GetMaxSeqResp__MaxSeqsEntry a = OPENIM__SDKWS__GET_MAX_SEQ_RESP__MAX_SEQS_ENTRY__INIT, b = a, c = a;
    Openim__Sdkws__GetMaxSeqResp__MaxSeqsEntry *list[] = {&a, &b, &c};
    Openim__Sdkws__PullMessageBySeqsResp p = OPENIM__SDKWS__PULL_MESSAGE_BY_SEQS_RESP__INIT;
    Openim__Sdkws__PullMessageBySeqsResp__MsgsEntry e = OPENIM__SDKWS__PULL_MESSAGE_BY_SEQS_RESP__MSGS_ENTRY__INIT, *es[] = {&e};
    Openim__Sdkws__PullMsgs msgs = OPENIM__SDKWS__PULL_MSGS__INIT;

    a.key = (char *)"si_a_b", a.value = 12;
    b.key = (char *)"n_a_b", b.value = 2;
    c.key = (char *)"n_a_b", c.value = 3;
    r.n_maxseqs = 3, r.maxseqs = list;
    assert_string_equal(write_msg(&r), "{\"maxSeqs\":{\"n_a_b\":3,\"si_a_b\":12}}");
    e.key = (char *)"si_a_b", e.value = &msgs;
    p.n_msgs = 1, p.msgs = es;
    assert_string_equal(write_msg(&p), "{\"msgs\":{\"si_a_b\":{\"Msgs\":null,\"isEnd\":false,\"endSeq\":0}}}");
}

static void wrappers(void **state)
{
    Openim__Sdkws__UserInfoWithEx u = OPENIM__SDKWS__USER_INFO_WITH_EX__INIT;
    Openim__Protobuf__StringValue nickname = OPENIM__PROTOBUF__STRING_VALUE__INIT;
    Openim__Protobuf__Int32Value opt = OPENIM__PROTOBUF__INT32_VALUE__INIT;

    u.userid = (char *)"u";
    nickname.value = (char *)"n";
    u.nickname = &nickname;
    u.globalrecvmsgopt = &opt;
    assert_string_equal(write_msg(&u), "{\"userID\":\"u\",\"nickname\":\"n\",\"faceURL\":null,\"ex\":null,\"globalRecvMsgOpt\":0}");
}

static void escapes(void **state)
{
    static const char raw[] = "<>&\"\\/\n\r\t\b\x01\x1f\x7f\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa\xff\xed\xa0\x80\xe4\xbd\xa0\xf0\x9f\x98\x80\0z";

    oim_json_string(&buf, raw, sizeof(raw) - 1);
    assert_string_equal(text(), "\"\\u003c\\u003e\\u0026\\\"\\\\/\\n\\r\\t\\u0008\\u0001\\u001f\x7f\\u2028\\u2029\xe2\x80\xaa\\ufffd\\ufffd\\ufffd"
                                "\\ufffd\xe4\xbd\xa0\xf0\x9f\x98\x80\\u0000z\"");
    oim_json_string(&buf, "", 0);
    assert_string_equal(text(), "\"\"");
}

static void numbers(void **state)
{
    static const struct {
        double v;
        const char *plain, *json;
    } floats[] = {
        {0, "0", "0"}, {1, "1", "1"}, {-1.5, "-1.5", "-1.5"}, {0.1, "0.1", "0.1"}, {1e20, "100000000000000000000", "100000000000000000000"},
        {1e21, "1000000000000000000000", "1e+21"}, {1.25e-7, "0.000000125", "1.25e-7"}, {1e-6, "0.000001", "0.000001"},
        {123456789012345680.0, "123456789012345680", "123456789012345680"}, {1234.5678, "1234.5678", "1234.5678"}, {0.001, "0.001", "0.001"},
    };
    float third = 1.0f / 3;

    for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
        oim_json_float(&buf, floats[i].v, OIM_JSON_FLOAT64, false);
        assert_string_equal(text(), floats[i].plain);
        oim_json_float(&buf, floats[i].v, OIM_JSON_FLOAT64, true);
        assert_string_equal(text(), floats[i].json);
    }
    oim_json_float(&buf, (double)third, OIM_JSON_FLOAT32, false);
    assert_string_equal(text(), "0.33333334");
    oim_json_int(&buf, INT64_MIN);
    assert_string_equal(text(), "-9223372036854775808");
    oim_json_uint(&buf, UINT64_MAX);
    assert_string_equal(text(), "18446744073709551615");
}

static void envelopes(void **state)
{
    Openim__Sdkws__GetMaxSeqResp r = OPENIM__SDKWS__GET_MAX_SEQ_RESP__INIT;
    Openim__Group__GetGroupsInfoResp g = OPENIM__GROUP__GET_GROUPS_INFO_RESP__INIT;
    Openim__User__UserRegisterResp none = OPENIM__USER__USER_REGISTER_RESP__INIT;

    oim_json_envelope(&buf, 0, "", "", &r.base);
    assert_string_equal(text(), "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":{}}");
    oim_json_envelope(&buf, 0, "", "", &g.base);
    assert_string_equal(text(), "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\",\"data\":{\"groupInfos\":null}}");
    oim_json_envelope(&buf, 0, "", "", &none.base);
    assert_string_equal(text(), "{\"errCode\":0,\"errMsg\":\"\",\"errDlt\":\"\"}");
    oim_json_envelope(&buf, 1001, "ArgsError", NULL, NULL);
    assert_string_equal(text(), "{\"errCode\":1001,\"errMsg\":\"ArgsError\",\"errDlt\":\"\"}");
}

static void round_trip(void **state)
{
    static const char body[] = "{\"sendID\":\"a\",\"recvID\":\"\",\"groupID\":\"\",\"clientMsgID\":\"\xe4\xbd\xa0\",\"serverMsgID\":\"\",\"senderPlatformID\":-1,"
                               "\"senderNickname\":\"\",\"senderFaceURL\":\"\\u003c\",\"sessionType\":0,\"msgFrom\":0,\"contentType\":0,"
                               "\"content\":\"eyJjb250ZW50IjoiaGkifQ==\",\"seq\":9007199254740993,\"sendTime\":0,\"createTime\":0,\"status\":0,"
                               "\"isRead\":true,\"options\":{\"a\":true,\"history\":false},"
                               "\"offlinePushInfo\":{\"title\":\"t\",\"desc\":\"\",\"ex\":\"\",\"iOSPushSound\":\"\",\"iOSBadgeCount\":true,"
                               "\"signalInfo\":\"\"},\"atUserIDList\":[\"x\",\"\"],\"attachedInfo\":\"\",\"ex\":\"\"}";
    struct oim_arena *a = oim_arena_new(4096);
    ProtobufCMessage *m, *again;
    const char *why;
    uint8_t *packed;
    size_t len;

    assert_int_equal(oim_json_decode(a, &openim__sdkws__msg_data__descriptor, (const uint8_t *)body, strlen(body), &m, &why), OIM_OK);
    assert_string_equal(write_msg(m), body);
    packed = oim_arena_alloc(a, protobuf_c_message_get_packed_size(m));
    len = protobuf_c_message_pack(m, packed);
    again = protobuf_c_message_unpack(m->descriptor, oim_arena_pb(a), len, packed);
    assert_string_equal(write_msg(again), body);
    oim_arena_free(a);
}

static void free_form(void **state)
{
    struct oim_arena *a = oim_arena_new(4096);
    json_t *v;
    const char *why, body[] = "{\"b\":[1,2.50,1e21,9007199254740993,null,true,false],\"a\":\"<\",\"ab\":{},\"\":[]}";

    assert_int_equal(oim_json_parse((const uint8_t *)body, strlen(body), &v, a, &why), OIM_OK);
    oim_json_encode_value(&buf, v);
    assert_string_equal(text(), "{\"\":[],\"a\":\"\\u003c\",\"ab\":{},\"b\":[1,2.5,1e+21,9007199254740992,null,true,false]}");
    json_decref(v);
    oim_json_encode_value(&buf, NULL);
    assert_string_equal(text(), "null");
    oim_arena_free(a);
}

static const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, teardown)
    T(empty_messages), T(maps_and_lists), T(wrappers), T(escapes), T(numbers), T(envelopes), T(round_trip), T(free_form),
};
UNIT_GROUP(unit_json_write, "protobuf to json", tests, NULL);
