/*
 * The words of the server, in each of its languages: title and text of the offline push of every notification, by its name in
 * notice_table.c, which is the only reader. A language more: a member more in each entry, its name in languages below and in the check of
 * notification.language in oim_conf.c. Pure.
 */
#include "notify.h"

#include <string.h>

#define LANGUAGES 3

static const char *const languages[LANGUAGES] = {"en", "zh", "ja"};

static const struct {
    const char *name;
    struct logic_notice_words in[LANGUAGES];
} words[] = {
    {"friendApplicationApproved", {
        {"Friend request accepted", "You are friends now"},
        {"好友申请已通过", "你们已成为好友，可以开始聊天了"},
        {"友だち申請の承認", "友だちになりました。チャットを始めましょう"}}},
    {"friendApplicationRejected", {
        {"Friend request refused", "Your friend request was refused"},
        {"好友申请被拒绝", "您的好友申请被拒绝"},
        {"友だち申請の拒否", "友だち申請が拒否されました"}}},
    {"friendApplicationAdded", {
        {"New friend request", "Somebody wants to be your friend"},
        {"好友申请", "有人请求添加您为好友"},
        {"友だち申請", "友だち申請が届きました"}}},
    {"friendDeleted", {
        {"Friend removed", "Somebody removed you from their friends"},
        {"好友删除", "您已被对方从好友列表中删除"},
        {"友だちの削除", "友だちリストから削除されました"}}},
    {"friendRemarkSet", {
        {"Remark changed", "The remark of a friend was changed"},
        {"好友备注变更", "好友备注已修改"},
        {"友だちのメモの変更", "友だちのメモが変更されました"}}},
    {"blackAdded", {
        {"Blocked", "Somebody blocked you"},
        {"加入黑名单", "您已被对方加入黑名单"},
        {"ブロック", "相手にブロックされました"}}},
    {"blackDeleted", {
        {"Unblocked", "Somebody unblocked you"},
        {"移出黑名单", "您已被对方移出黑名单"},
        {"ブロック解除", "相手がブロックを解除しました"}}},
    {"friendInfoUpdated", {
        {"Friend changed", "The profile of a friend was changed"},
        {"好友资料变更", "好友资料已更新"},
        {"友だち情報の変更", "友だちの情報が更新されました"}}},
    {"conversationChanged", {
        {"Conversation changed", "The settings of a conversation were changed"},
        {"会话变更", "会话设置已更新"},
        {"会話設定の変更", "会話の設定が更新されました"}}},
    {"userInfoUpdated", {
        {"Profile changed", "Your profile was changed"},
        {"个人资料变更", "您的个人资料已更新"},
        {"プロフィールの変更", "プロフィールが更新されました"}}},
    {"groupCreated", {
        {"New group", "You are a member of a new group"},
        {"新群组", "您已加入一个新群组"},
        {"新しいグループ", "新しいグループに追加されました"}}},
    {"groupInfoSet", {
        {"Group changed", "The profile of a group was changed"},
        {"群资料变更", "群资料已更新"},
        {"グループ情報の変更", "グループ情報が更新されました"}}},
    {"joinGroupApplication", {
        {"Request to join a group", "Somebody wants to join a group"},
        {"入群申请", "有人申请加入群组"},
        {"グループ参加申請", "グループへの参加申請が届きました"}}},
    {"memberQuit", {
        {"Member left", "A member left the group"},
        {"成员退群", "有成员退出了群组"},
        {"メンバーの退会", "メンバーがグループを退会しました"}}},
    {"groupApplicationAccepted", {
        {"Request to join accepted", "A request to join a group was accepted"},
        {"入群申请已通过", "加入群组的申请已通过"},
        {"参加申請の承認", "グループへの参加申請が承認されました"}}},
    {"groupApplicationRejected", {
        {"Request to join refused", "A request to join a group was refused"},
        {"入群申请被拒绝", "加入群组的申请被拒绝"},
        {"参加申請の拒否", "グループへの参加申請が拒否されました"}}},
    {"groupOwnerTransferred", {
        {"New group owner", "The group has a new owner"},
        {"群主变更", "群组有了新群主"},
        {"オーナーの変更", "グループのオーナーが変わりました"}}},
    {"memberKicked", {
        {"Member removed", "A member was removed from the group"},
        {"成员被移出", "有成员被移出群组"},
        {"メンバーの削除", "メンバーがグループから削除されました"}}},
    {"memberInvited", {
        {"New members", "Members were invited to the group"},
        {"邀请入群", "有新成员被邀请加入群组"},
        {"メンバーの招待", "新しいメンバーがグループに招待されました"}}},
    {"memberEnter", {
        {"New member", "A member joined the group"},
        {"成员入群", "有新成员加入了群组"},
        {"メンバーの参加", "新しいメンバーがグループに参加しました"}}},
    {"groupDismissed", {
        {"Group dissolved", "The group was dissolved"},
        {"群组解散", "群组已解散"},
        {"グループの解散", "グループが解散されました"}}},
    {"groupMemberMuted", {
        {"Member muted", "A member of the group was muted"},
        {"成员禁言", "有群成员被禁言"},
        {"メンバーの発言禁止", "メンバーの発言が禁止されました"}}},
    {"groupMemberCancelMuted", {
        {"Member unmuted", "A member of the group may write again"},
        {"解除成员禁言", "有群成员被解除禁言"},
        {"メンバーの発言禁止解除", "メンバーの発言禁止が解除されました"}}},
    {"groupMuted", {
        {"Group muted", "Only administrators may write in the group"},
        {"全员禁言", "群组已开启全员禁言"},
        {"グループの発言禁止", "グループ全員の発言が禁止されました"}}},
    {"groupCancelMuted", {
        {"Group unmuted", "Everybody may write in the group again"},
        {"解除全员禁言", "群组已解除全员禁言"},
        {"グループの発言禁止解除", "グループ全員の発言禁止が解除されました"}}},
    {"groupMemberInfoSet", {
        {"Member changed", "The profile of a group member was changed"},
        {"成员资料变更", "群成员资料已更新"},
        {"メンバー情報の変更", "グループメンバーの情報が更新されました"}}},
    {"groupMemberSetToAdmin", {
        {"New administrator", "A member became an administrator of the group"},
        {"新管理员", "有成员成为群管理员"},
        {"管理者の追加", "メンバーがグループの管理者になりました"}}},
    {"groupMemberSetToOrdinaryUser", {
        {"Administrator removed", "An administrator became an ordinary member"},
        {"取消管理员", "有管理员变为普通成员"},
        {"管理者の解除", "管理者が一般メンバーになりました"}}},
    {"groupInfoSetAnnouncement", {
        {"Group announcement", "The group has a new announcement"},
        {"群公告", "群组发布了新公告"},
        {"グループのお知らせ", "グループに新しいお知らせがあります"}}},
    {"groupInfoSetName", {
        {"Group renamed", "The group has a new name"},
        {"群名称变更", "群组名称已修改"},
        {"グループ名の変更", "グループ名が変更されました"}}},
    {"conversationSetPrivate", {
        {"Private chat", "Private chat was switched on or off"},
        {"私聊设置", "私聊模式已切换"},
        {"プライベートチャット", "プライベートチャットの設定が変更されました"}}},
};

const struct logic_notice_words *logic_notice_words(const char *name, const char *language)
{
    static const struct logic_notice_words none = {"", ""};
    size_t at = 0;

    while (at < LANGUAGES && strcmp(languages[at], language)) at++;
    if (at == LANGUAGES) at = 0;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(words[i].name, name) == 0) return &words[i].in[at];
    }
    return &none;
}
