/*
 * Reading an open package. Each request proves anew that its session is for the package in its path. Foreign text is
 * shown as text; foreign HTML only cleaned, in a frame without scripts, origin or network; attachments only leave as
 * octet streams. Whatever is shown again, and every download, waits for its audit record.
 */
#include "portal/portal_priv.h"

#include "mime/html.h"
#include "mime/mime.h"
#include "web/form.h"

#define SESSION  "__Secure-session"
#define TEXT_MAX (1024 * 1024)
#define HTML_MAX (2 * 1024 * 1024)

static const char frame_policy[] =
    "default-src 'none'; style-src 'unsafe-inline'; sandbox; form-action 'none'; "
    "frame-ancestors 'self'; base-uri 'none'";

/* ---- a package, opened for one request or one download ---- */

struct opened {
    struct sp_content content;
    struct sp_content_reader *reader;
    struct sp_mime *mime; /* NULL: it can't be shown */
    struct sp_mime_decoder *decoder;
    uint64_t at; /* of the original: bytes sent */
};

static void opened_free(struct opened *o)
{
    if (o == NULL)
        return;
    sp_mime_decoder_free(o->decoder);
    sp_mime_free(o->mime);
    sp_content_reader_free(o->reader);
    sp_content_clear(&o->content);
    sp_free(o);
}

/* parse: look into it. A message that can't be looked into still opens, for the original. */
static struct opened *open_package(struct sp_portal *p, const struct portal_package *pkg,
                                   bool parse)
{
    struct opened *o = sp_calloc(1, sizeof(*o));
    enum sp_rc rc = sp_portal_vault_open(p, pkg, &o->content);

    if (rc == SP_OK) {
        o->reader = sp_content_reader_new(&o->content);
        if (parse) {
            struct sp_mime_source source = sp_mime_source_content(o->reader, o->content.len);

            rc = sp_mime_open(&source, NULL, &o->mime, NULL);
        }
    }
    if (rc == SP_OK || rc == SP_E_SCAN_LIMIT || rc == SP_E_MALFORMED)
        return o;
    sp_log_error(p->o.log, "portal.package-unreadable", SP_ID("message", &pkg->message),
                 SP_RC("why", rc));
    opened_free(o);
    return NULL;
}

bool sp_portal_may_read(struct sp_portal *p, struct sp_web_request *req, struct portal_package *pkg)
{
    struct sp_bytes secret = sp_web_request_cookie(req, SP_LIT(SESSION));
    struct sp_bytes id = sp_web_request_segment(req, 0);
    enum sp_rc rc =
        id.len < SP_PORTAL_PACKAGE_MAX ? sp_portal_session_find(p, secret, id, pkg) : SP_E_DENIED;

    if (rc == SP_OK)
        return true;
    sp_web_reply_error(req, rc == SP_E_PORTAL_EXPIRED ? 410 : rc == SP_E_DENIED ? 403 : 503);
    return false;
}

/* What the opening's record covers is shown at once: each view once in a session. To show it again is another opening,
 * and waits for its own record. */
static void read_package(struct sp_portal *p, struct sp_web_request *req,
                         const struct portal_package *pkg, enum portal_view view,
                         void (*show)(struct portal_wait *w, struct sp_web_request *req))
{
    struct portal_wait *w = sp_portal_wait_new(p, req, pkg, show);
    char client[SP_ADDR_TEXT_MAX];
    struct portal_access a = {.event = "portal.opened",
                              .package = &w->package,
                              .client = sp_portal_client(req, client),
                              .agent = PORTAL_AGENT_PERSON};
    bool first;

    if (sp_portal_session_show(p, sp_web_request_cookie(req, SP_LIT(SESSION)), view, &first) !=
        SP_OK) {
        sp_web_reply_error(req, 503);
        sp_portal_wait_free(w);
    } else if (first) {
        show(w, req);
        sp_portal_wait_free(w);
    } else {
        w->again = true;
        w->package.opens++;
        sp_portal_after_record(w, &a);
    }
}

/* returns: false, and the answer is given, if another opening could not be counted */
static bool count_again(struct portal_wait *w, struct sp_web_request *req)
{
    if (!w->again || sp_portal_count_open(w->portal, &w->package) == SP_OK)
        return true;
    sp_web_reply_error(req, 503);
    return false;
}

/* ---- the message's page ---- */

static void put_field(struct sp_buf *b, const struct sp_mime *m, const char *name)
{
    struct sp_buf value;

    sp_buf_init(&value, 4096);
    if (sp_mime_header(m, name, &value) == SP_OK && value.len > 0) {
        sp_buf_printf(b, "<dt>%s</dt><dd>", name);
        sp_web_html_escape(b, sp_buf_bytes(&value));
        sp_buf_put_cstr(b, "</dd>\n");
    }
    sp_buf_wipe(&value);
}

static void put_heading(struct sp_buf *b, const struct sp_mime *m)
{
    struct sp_buf subject;

    sp_buf_init(&subject, 4096);
    sp_buf_put_cstr(b, "<h1>");
    if (sp_mime_header(m, "Subject", &subject) == SP_OK && subject.len > 0)
        sp_web_html_escape(b, sp_buf_bytes(&subject));
    else
        sp_buf_put_cstr(b, "Message without a subject");
    sp_buf_put_cstr(b, "</h1>\n<dl>\n");
    sp_buf_wipe(&subject);
    put_field(b, m, "From");
    put_field(b, m, "To");
    put_field(b, m, "Cc");
    put_field(b, m, "Date");
    sp_buf_put_cstr(b, "</dl>\n");
}

static void put_frame(struct sp_buf *b, const char *id)
{
    sp_buf_printf(b,
                  "<iframe sandbox=\"\" src=\"/m/%s/html\" title=\"The message with its "
                  "formatting\" referrerpolicy=\"no-referrer\"></iframe>\n",
                  id);
}

static void put_text(struct sp_buf *b, struct sp_mime *m, size_t part)
{
    struct sp_buf body;
    enum sp_rc rc;

    sp_buf_init(&body, TEXT_MAX);
    rc = sp_mime_part_text(m, part, &body);
    sp_buf_put_cstr(b, "<pre class=\"text\">");
    sp_web_html_escape(b, sp_buf_bytes(&body));
    sp_buf_put_cstr(b, "</pre>\n");
    if (rc != SP_OK)
        sp_buf_put_cstr(b, "<p class=\"bad\">The text goes on: download the message to read "
                           "all of it.</p>\n");
    sp_buf_wipe(&body);
}

/* Text between other parts, not meant for saving, and of this message rather than of one inside it: a notice that the
 * law asks for stands beside the message's own text so. */
static bool is_shown_text(const struct sp_mime *m, size_t i)
{
    const struct sp_mime_part *part = sp_mime_part_get(m, i);

    if (i == sp_mime_body_text(m))
        return true;
    if (part->attachment || part->related || part->name[0] != '\0' ||
        strcmp(part->type, "text/plain") != 0)
        return false;
    for (size_t k = 0; k < i; k++)
        if (sp_mime_part_get(m, k)->kind == SP_MIME_MESSAGE &&
            sp_mime_part_get(m, k)->depth < part->depth)
            return false;
    return true;
}

static void put_body(struct sp_buf *b, struct sp_mime *m, const char *id)
{
    size_t text = sp_mime_body_text(m), html = sp_mime_body_html(m);

    for (size_t i = 0; text != SP_MIME_NONE && i < sp_mime_part_count(m); i++)
        if (is_shown_text(m, i))
            put_text(b, m, i);
    if (html != SP_MIME_NONE && text != SP_MIME_NONE)
        sp_buf_put_cstr(b, "<details>\n<summary>Show with formatting</summary>\n");
    if (html != SP_MIME_NONE)
        put_frame(b, id);
    if (html != SP_MIME_NONE && text != SP_MIME_NONE)
        sp_buf_put_cstr(b, "</details>\n");
    if (html == SP_MIME_NONE && text == SP_MIME_NONE)
        sp_buf_put_cstr(b, "<p>The message has no text of its own.</p>\n");
}

/* Everything that is not shown above can be taken away. */
static bool is_file(const struct sp_mime *m, size_t i)
{
    const struct sp_mime_part *part = sp_mime_part_get(m, i);

    return part->kind != SP_MIME_MESSAGE && !is_shown_text(m, i) && i != sp_mime_body_html(m);
}

static void put_size(struct sp_buf *b, uint64_t bytes)
{
    if (bytes < 10000)
        sp_buf_printf(b, "%u bytes", (unsigned)bytes);
    else if (bytes < 10000000)
        sp_buf_printf(b, "about %u KB", (unsigned)(bytes / 1000));
    else
        sp_buf_printf(b, "about %u MB", (unsigned)(bytes / 1000000));
}

static void put_file(struct sp_buf *b, const struct sp_mime *m, size_t i, const char *id)
{
    const struct sp_mime_part *part = sp_mime_part_get(m, i);

    sp_buf_put_cstr(b, "<li><span>");
    if (part->name[0] != '\0')
        sp_web_html_escape(b, sp_bytes_cstr(part->name));
    else
        sp_buf_printf(b, "Part %zu (%s)", i + 1, part->type);
    sp_buf_put_cstr(b, " <span class=\"dim\">");
    put_size(b, part->raw_len);
    sp_buf_printf(b,
                  "</span></span>\n<form method=\"post\" action=\"/m/%s/part/%zu\">"
                  "<button class=\"quiet\" type=\"submit\" aria-label=\"Download ",
                  id, i);
    if (part->name[0] != '\0')
        sp_web_html_escape(b, sp_bytes_cstr(part->name));
    else
        sp_buf_printf(b, "part %zu", i + 1);
    sp_buf_put_cstr(b, "\">Download</button></form></li>\n");
}

static void put_files(struct sp_buf *b, const struct sp_mime *m, const char *id)
{
    size_t shown = 0;

    for (size_t i = 0; i < sp_mime_part_count(m); i++) {
        if (!is_file(m, i))
            continue;
        if (shown++ == 0)
            sp_buf_put_cstr(b, "<h2>Attachments</h2>\n<ul class=\"files\">\n");
        put_file(b, m, i, id);
    }
    if (shown > 0)
        sp_buf_put_cstr(b, "</ul>\n");
}

static void put_foot(struct sp_buf *b, const struct sp_portal *p, const struct portal_package *pkg)
{
    char until[SP_TIME_TEXT_MAX];

    sp_time_format_rfc5322(pkg->expires_ms, until);
    sp_buf_printf(b,
                  "<h2>Keep or leave</h2>\n<p class=\"dim\">It can be read here until %.16s.</p>\n"
                  "<ul class=\"files\">\n<li><span>The whole message as it was sent "
                  "(.eml)</span>\n<form method=\"post\" action=\"/m/%s/original\"><button "
                  "class=\"quiet\" type=\"submit\">Download</button></form></li>\n"
                  "<li><span>Close the message in this browser</span>\n<form method=\"post\" "
                  "action=\"/m/%s/leave\"><button class=\"quiet\" type=\"submit\">Leave</button>"
                  "</form></li>\n",
                  until, pkg->id, pkg->id);
    if (p->o.choice_ms > 0)
        sp_buf_printf(b,
                      "<li><span>How future messages reach you</span>\n<a id=\"choice\" "
                      "href=\"/m/%s/choice\">Choose</a></li>\n",
                      pkg->id);
    sp_buf_put_cstr(b, "</ul>\n");
}

/* What the law wants read beside a message that took no text, since it came signed. returns: false if it can't be told */
static bool put_notice(struct sp_buf *b, struct sp_portal *p, const char *id)
{
    struct sp_buf notice;
    enum sp_rc rc;

    sp_buf_init(&notice, TEXT_MAX);
    rc = sp_portal_notice(p, id, &notice);
    if (rc == SP_OK && notice.len > 0) {
        sp_buf_put_cstr(b, "<pre class=\"text\" id=\"notice\">");
        sp_web_html_escape(b, sp_buf_bytes(&notice));
        sp_buf_put_cstr(b, "</pre>\n");
    }
    sp_buf_clear(&notice);
    return rc == SP_OK;
}

static void show_message(struct portal_wait *w, struct sp_web_request *req)
{
    const struct portal_package *pkg = &w->package;
    struct opened *o;
    struct sp_buf b;

    if (!count_again(w, req))
        return;
    o = open_package(w->portal, pkg, true);
    if (o == NULL) {
        sp_web_reply_error(req, 500);
        return;
    }
    sp_buf_init(&b, PORTAL_PAGE_MAX + 6 * TEXT_MAX);
    sp_portal_page_begin(&b, "Your secure message");
    if (o->mime != NULL)
        put_heading(&b, o->mime);
    if (!put_notice(&b, w->portal, pkg->id)) { /* without it the message is not shown */
        sp_buf_wipe(&b);
        opened_free(o);
        sp_web_reply_error(req, 503);
        return;
    }
    if (o->mime != NULL) {
        put_body(&b, o->mime, pkg->id);
        put_files(&b, o->mime, pkg->id);
    } else {
        sp_buf_put_cstr(&b,
                        "<h1>Your secure message</h1>\n<p>Its inner structure is unusual, so it "
                        "is not shown here. Download it and open it in a mail program.</p>\n");
    }
    put_foot(&b, w->portal, pkg);
    sp_portal_page_end(&b);
    sp_portal_page_send(req, 200, &b);
    opened_free(o);
}

void sp_portal_on_message(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;

    if (sp_portal_may_read(p, req, &pkg))
        read_package(p, req, &pkg, PORTAL_VIEW_PAGE, show_message);
}

static void show_html(struct portal_wait *w, struct sp_web_request *req)
{
    struct opened *o;
    struct sp_buf raw, page;
    size_t html = SP_MIME_NONE;

    if (!count_again(w, req))
        return;
    o = open_package(w->portal, &w->package, true);
    if (o != NULL && o->mime != NULL)
        html = sp_mime_body_html(o->mime);
    if (html == SP_MIME_NONE) {
        opened_free(o);
        sp_web_reply_error(req, 404);
        return;
    }
    sp_buf_init(&raw, HTML_MAX);
    sp_buf_init(&page, PORTAL_PAGE_MAX);
    sp_buf_put_cstr(&page, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                           "<title>Message</title></head><body>\n");
    if (sp_mime_part_text(o->mime, html, &raw) != SP_OK ||
        sp_mime_html_clean(sp_buf_bytes(&raw), &page) != SP_OK) {
        sp_buf_reset(&page);
        sp_portal_page_note(&page, "Not shown",
                            "This part is too large or too odd to be shown here. "
                            "Download the message instead.");
    } else {
        sp_buf_put_cstr(&page, "\n</body></html>\n");
    }
    sp_web_reply_field(req, "Content-Security-Policy", sp_bytes_cstr(frame_policy));
    sp_portal_page_send(req, 200, &page);
    sp_buf_wipe(&raw);
    opened_free(o);
}

void sp_portal_on_html(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;

    if (sp_portal_may_read(p, req, &pkg))
        read_package(p, req, &pkg, PORTAL_VIEW_HTML, show_html);
}

/* ---- downloads ---- */

static enum sp_rc read_original(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    struct opened *o = ctx;
    enum sp_rc rc = sp_content_read(o->reader, o->at, out, len, got);

    o->at += rc == SP_OK ? *got : 0;
    return rc;
}

static enum sp_rc read_part(void *ctx, uint8_t *out, size_t len, size_t *got)
{
    return sp_mime_decoder_read(((struct opened *)ctx)->decoder, out, len, got);
}

static void end_download(void *ctx, enum sp_rc rc)
{
    (void)rc;
    opened_free(ctx);
}

static void send_download(struct sp_web_request *req, struct opened *o, struct sp_bytes name,
                          bool original)
{
    struct sp_web_source source = {original ? read_original : read_part, end_download, o};
    struct sp_buf disposition;

    sp_buf_init(&disposition, 1024);
    sp_web_disposition(&disposition, name, original ? "message.eml" : "attachment.bin");
    sp_web_reply_field(req, "Content-Disposition", sp_buf_bytes(&disposition));
    sp_web_reply_field(req, "Content-Security-Policy", SP_LIT("default-src 'none'; sandbox"));
    sp_buf_clear(&disposition);
    sp_web_reply_stream(req, 200, "application/octet-stream",
                        original ? o->content.len : SP_WEB_LENGTH_UNKNOWN, &source);
}

static void download(struct portal_wait *w, struct sp_web_request *req)
{
    struct opened *o = open_package(w->portal, &w->package, w->part >= 0);
    size_t i = w->part < 0 ? 0 : (size_t)w->part;

    if (o == NULL) {
        sp_web_reply_error(req, 500);
    } else if (w->part < 0) {
        send_download(req, o, SP_LIT("message.eml"), true);
    } else if (o->mime == NULL || i >= sp_mime_part_count(o->mime) || !is_file(o->mime, i)) {
        opened_free(o);
        sp_web_reply_error(req, 404);
    } else {
        o->decoder = sp_mime_decoder_new(o->mime, i, SP_MIME_AS_BYTES);
        send_download(req, o, sp_bytes_cstr(sp_mime_part_get(o->mime, i)->name), false);
    }
}

static void begin_download(struct sp_portal *p, struct sp_web_request *req,
                           const struct portal_package *pkg, int64_t part)
{
    struct portal_wait *w = sp_portal_wait_new(p, req, pkg, download);
    char client[SP_ADDR_TEXT_MAX];
    struct portal_access a = {.event = "portal.downloaded",
                              .package = &w->package,
                              .client = sp_portal_client(req, client),
                              .agent = PORTAL_AGENT_PERSON,
                              .part = part};

    w->part = part;
    sp_portal_after_record(w, &a);
}

void sp_portal_on_part(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;
    uint64_t part;

    if (sp_portal_is_foreign(req) || !sp_portal_may_read(p, req, &pkg))
        return;
    if (!sp_bytes_to_u64(sp_web_request_segment(req, 1), &part) || part > 10000)
        sp_web_reply_error(req, 404);
    else
        begin_download(p, req, &pkg, (int64_t)part);
}

void sp_portal_on_original(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;

    if (!sp_portal_is_foreign(req) && sp_portal_may_read(p, req, &pkg))
        begin_download(p, req, &pkg, -1);
}

void sp_portal_on_leave(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    struct portal_package pkg;
    struct sp_buf b;
    char path[8 + SP_PORTAL_PACKAGE_MAX] = "/m/";

    if (sp_portal_is_foreign(req) || !sp_portal_may_read(p, req, &pkg))
        return;
    if (sp_portal_session_end(p, sp_web_request_cookie(req, SP_LIT(SESSION))) != SP_OK) {
        sp_web_reply_error(req, 503); /* it is not closed, and nobody shall think so */
        return;
    }
    memcpy(path + 3, pkg.id, strlen(pkg.id) + 1);
    sp_portal_set_cookie(req, SESSION, "", path, 0);
    sp_buf_init(&b, PORTAL_PAGE_MAX);
    sp_portal_page_note(&b, "Closed",
                        "The message is closed in this browser. Until it expires you can "
                        "read it again with the link in your notice.");
    sp_portal_page_send(req, 200, &b);
}
