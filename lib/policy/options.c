/*
 * Options as JSON. Written member by member where they differ from the default; read strictly where a wrong reading
 * could lower protection (a floor that is not known makes the text malformed), and the text itself is ours: it lies
 * sealed in the journal.
 */
#include "policy/options.h"

#include "mail/envelope.h"

#include "base/text.h"
#include "json/json.h"

#define EXPIRES_DEFAULT_MS ((int64_t)30 * 24 * 3600 * 1000)
#define LOGIN_DEFAULT      "code"

void sp_options_init(struct sp_options *o)
{
    memset(o, 0, sizeof(*o));
    o->portal.expires_ms = EXPIRES_DEFAULT_MS;
    o->portal.login = SP_LIT(LOGIN_DEFAULT);
    o->portal.notify_floor = SP_FLOOR_TLS_ENCRYPTED;
}

static struct sp_bytes login_text(unsigned login)
{
    static const char *const texts[] = {
        "",        "code",         "password",         "code,password",
        "passkey", "code,passkey", "password,passkey", "code,password,passkey"};

    login &= SP_LOGIN_CODE | SP_LOGIN_PASSWORD | SP_LOGIN_PASSKEY;
    return sp_bytes_cstr(login == 0 ? LOGIN_DEFAULT : texts[login]);
}

void sp_options_of_decision(const struct sp_decision *d, struct sp_options *out)
{
    sp_options_init(out);
    out->is_sealed = d->is_sealed;
    out->hold_protects = d->verb == SP_DO_HOLD && d->hold.otherwise_protect;
    if (d->verb == SP_DO_HOLD && d->language >= 2)
        out->hold_by = sp_bytes_cstr(d->hold.by);
    out->strip_subject_tag = d->edits.strip_subject_tag;
    out->protect_subject = d->edits.protect_subject != NULL;
    out->subject = sp_bytes_cstr(d->edits.protect_subject);
    out->footer = d->edits.footer;
    out->notice = d->edits.notice;
    out->notify = d->notify;
    out->is_bulk = d->lane != NULL && strcmp(d->lane, "bulk") == 0;
    out->is_urgent = d->lane != NULL && strcmp(d->lane, "urgent") == 0;
    out->route = sp_bytes_cstr(d->route);
    for (size_t i = 0; i < d->edits.header_count; i++) {
        const struct sp_header_edit *e = d->edits.headers[i];

        if (e->value != NULL)
            out->add[out->add_count++] =
                (struct sp_option_field){sp_bytes_cstr(e->name), sp_bytes_cstr(e->value)};
        else
            out->strip[out->strip_count++] = sp_bytes_cstr(e->name);
    }
    if (d->portal.expires_ms > 0)
        out->portal.expires_ms = d->portal.expires_ms;
    out->portal.login = login_text(d->portal.login);
    out->portal.reply = d->portal.reply;
    out->portal.forward = d->portal.forward;
    out->portal.notify_floor = d->portal.notify_floor;
    out->portal.notify_from = sp_bytes_cstr(d->portal.notify_from);
    memcpy(out->portal.remind_ms, d->portal.remind_ms, sizeof(out->portal.remind_ms));
    if ((d->notify & SP_NOTIFY_UNREAD) != 0)
        out->portal.unread_after_ms = d->portal.unread_after_ms;
    out->portal.notice = d->page_notice;
    out->smime_cipher = sp_bytes_cstr(d->smime_cipher);
}

/* ---- writing ---- */

static void write_flag(struct sp_jw *w, const char *key, bool v)
{
    if (v)
        sp_jw_bool(w, key, true);
}

static void write_text(struct sp_jw *w, const char *key, struct sp_bytes v)
{
    if (v.len > 0)
        sp_jw_text(w, key, v);
}

static void write_edits(struct sp_jw *w, const struct sp_options *o)
{
    write_flag(w, "strip_tag", o->strip_subject_tag);
    if (o->protect_subject)
        sp_jw_text(w, "subject", o->subject);
    if (o->add_count > 0) {
        sp_jw_array(w, "add");
        for (size_t i = 0; i < o->add_count; i++) {
            sp_jw_array(w, NULL);
            sp_jw_text(w, NULL, o->add[i].name);
            sp_jw_text(w, NULL, o->add[i].value);
            sp_jw_end(w);
        }
        sp_jw_end(w);
    }
    if (o->strip_count > 0) {
        sp_jw_array(w, "strip");
        for (size_t i = 0; i < o->strip_count; i++)
            sp_jw_text(w, NULL, o->strip[i]);
        sp_jw_end(w);
    }
    write_text(w, "footer", o->footer);
    write_text(w, "notice", o->notice);
}

static void write_portal(struct sp_jw *w, const struct sp_options *o)
{
    struct sp_options plain;

    sp_options_init(&plain);
    if (o->portal.expires_ms == plain.portal.expires_ms && !o->portal.reply && !o->portal.forward &&
        sp_bytes_eq(o->portal.login, plain.portal.login) && o->portal.notify_from.len == 0 &&
        o->portal.notify_floor == plain.portal.notify_floor && o->portal.remind_ms[0] == 0 &&
        o->portal.unread_after_ms == 0 && o->portal.notice.len == 0)
        return;
    sp_jw_object(w, "portal");
    sp_jw_int(w, "expires_ms", o->portal.expires_ms);
    write_text(w, "login", o->portal.login);
    write_flag(w, "reply", o->portal.reply);
    write_flag(w, "forward", o->portal.forward);
    sp_jw_cstr(w, "notify_floor", sp_floor_name(o->portal.notify_floor));
    write_text(w, "notify_from", o->portal.notify_from);
    if (o->portal.remind_ms[0] > 0) {
        sp_jw_array(w, "remind_ms");
        for (size_t i = 0; i < SP_OPTIONS_REMIND_MAX && o->portal.remind_ms[i] > 0; i++)
            sp_jw_int(w, NULL, o->portal.remind_ms[i]);
        sp_jw_end(w);
    }
    if (o->portal.unread_after_ms > 0)
        sp_jw_int(w, "unread_after_ms", o->portal.unread_after_ms);
    write_text(w, "notice", o->portal.notice);
    sp_jw_end(w);
}

enum sp_rc sp_options_write(const struct sp_options *o, struct sp_buf *out)
{
    size_t from = out->len;
    struct sp_jw w;

    sp_jw_init(&w, out);
    sp_jw_object(&w, NULL);
    write_flag(&w, "sealed", o->is_sealed);
    write_flag(&w, "hold_protects", o->hold_protects);
    write_text(&w, "hold_by", o->hold_by);
    write_edits(&w, o);
    if (o->notify != 0)
        sp_jw_int(&w, "notify", o->notify);
    write_flag(&w, "bulk", o->is_bulk);
    write_flag(&w, "urgent", o->is_urgent);
    write_text(&w, "route", o->route);
    write_text(&w, "smime_cipher", o->smime_cipher);
    write_portal(&w, o);
    if (o->notice_of.package.len > 0) {
        sp_jw_object(&w, "notice_of");
        sp_jw_text(&w, "package", o->notice_of.package);
        sp_jw_text(&w, "sender", o->notice_of.sender);
        sp_jw_int(&w, "n", o->notice_of.n);
        if (o->notice_of.notify != 0)
            sp_jw_int(&w, "notify", o->notice_of.notify);
        write_text(&w, "envid", o->notice_of.envid);
        write_text(&w, "orcpt", o->notice_of.orcpt);
        sp_jw_end(&w);
    }
    sp_jw_end(&w);
    if (sp_buf_rc(out) == SP_OK && out->len == from + 2) /* "{}" */
        out->len = from;
    return sp_buf_rc(out);
}

/* ---- reading ---- */

static struct sp_bytes read_text(const struct sp_json *object, const char *key,
                                 struct sp_arena *arena)
{
    return sp_arena_copy(arena, sp_json_text_of(object, key));
}

static bool read_fields(const struct sp_json *root, struct sp_arena *arena, struct sp_options *o)
{
    const struct sp_json *add = sp_json_find(root, "add");
    const struct sp_json *strip = sp_json_find(root, "strip");

    for (const struct sp_json *i = add == NULL ? NULL : add->first; i != NULL; i = i->next) {
        if (i->count != 2 || i->first->type != SP_JSON_TEXT ||
            i->first->next->type != SP_JSON_TEXT || o->add_count == SP_OPTIONS_FIELDS_MAX)
            return false;
        o->add[o->add_count++] = (struct sp_option_field){
            sp_arena_copy(arena, i->first->text), sp_arena_copy(arena, i->first->next->text)};
    }
    for (const struct sp_json *i = strip == NULL ? NULL : strip->first; i != NULL; i = i->next) {
        if (i->type != SP_JSON_TEXT || o->strip_count == SP_OPTIONS_FIELDS_MAX)
            return false;
        o->strip[o->strip_count++] = sp_arena_copy(arena, i->text);
    }
    return true;
}

static void read_remind(const struct sp_json *list, struct sp_options *o)
{
    size_t n = 0;

    for (const struct sp_json *i = list == NULL ? NULL : list->first;
         i != NULL && n < SP_OPTIONS_REMIND_MAX; i = i->next)
        if (i->type == SP_JSON_INT && i->integer > 0)
            o->portal.remind_ms[n++] = i->integer;
}

static bool read_portal(const struct sp_json *portal, struct sp_arena *arena, struct sp_options *o)
{
    if (portal == NULL)
        return true;
    o->portal.expires_ms = sp_json_int_of(portal, "expires_ms", o->portal.expires_ms);
    o->portal.login = read_text(portal, "login", arena);
    o->portal.reply = sp_json_bool_of(portal, "reply", false);
    o->portal.forward = sp_json_bool_of(portal, "forward", false);
    o->portal.notify_from = read_text(portal, "notify_from", arena);
    o->portal.notice = read_text(portal, "notice", arena);
    o->portal.unread_after_ms = sp_json_int_of(portal, "unread_after_ms", 0);
    read_remind(sp_json_find(portal, "remind_ms"), o);
    return sp_floor_parse(sp_json_text_of(portal, "notify_floor"), &o->portal.notify_floor);
}

enum sp_rc sp_options_read(struct sp_bytes text, struct sp_arena *arena, struct sp_options *out)
{
    SP_AUTO(sp_json_doc) doc = NULL;
    const struct sp_json *root;
    const struct sp_json *notice_of;
    struct sp_err err;

    sp_options_init(out);
    if (text.len == 0)
        return SP_OK;
    if (sp_json_parse(text, NULL, &doc, &err) != SP_OK)
        return SP_E_MALFORMED;
    root = sp_json_root(doc);
    out->is_sealed = sp_json_bool_of(root, "sealed", false);
    out->hold_protects = sp_json_bool_of(root, "hold_protects", false);
    out->hold_by = read_text(root, "hold_by", arena);
    out->strip_subject_tag = sp_json_bool_of(root, "strip_tag", false);
    out->protect_subject = sp_json_find(root, "subject") != NULL;
    out->subject = read_text(root, "subject", arena);
    out->footer = read_text(root, "footer", arena);
    out->notice = read_text(root, "notice", arena);
    out->notify = (unsigned)sp_json_int_of(root, "notify", 0);
    out->is_bulk = sp_json_bool_of(root, "bulk", false);
    out->is_urgent = sp_json_bool_of(root, "urgent", false);
    out->route = read_text(root, "route", arena);
    out->smime_cipher = read_text(root, "smime_cipher", arena);
    notice_of = sp_json_find(root, "notice_of");
    out->notice_of.package = read_text(notice_of, "package", arena);
    out->notice_of.sender = read_text(notice_of, "sender", arena);
    out->notice_of.n = sp_json_int_of(notice_of, "n", 0);
    out->notice_of.notify = (unsigned)sp_json_int_of(
        notice_of, "notify", sp_json_bool_of(notice_of, "success", false) ? SP_NOTIFY_SUCCESS : 0);
    out->notice_of.envid = read_text(notice_of, "envid", arena);
    out->notice_of.orcpt = read_text(notice_of, "orcpt", arena);
    if (!read_fields(root, arena, out) || !read_portal(sp_json_find(root, "portal"), arena, out))
        return SP_E_MALFORMED;
    return SP_OK;
}
