/*
 * The way in: link, code, session. Only the three POSTs change anything, none does without a person typing a code from
 * the mailbox, and an answer says the same whether or not a token exists.
 */
#include "portal/portal_priv.h"

#define FORM_MAX  4096
#define CHALLENGE "__Host-challenge"
#define SESSION   "__Secure-session"
#define HOUR_MS   (3600LL * 1000)

#define THROTTLED_A_CLIENT  5 /* lines in an hour */
#define THROTTLED_A_PACKAGE 20

static const char wrong_code[] = "That code is not right, or no longer good.";

struct sp_bytes sp_portal_client(const struct sp_web_request *req, char *out)
{
    const struct sp_addr *peer = sp_web_request_peer(req);

    if (peer->u.sa.sa_family == AF_INET || peer->u.sa.sa_family == AF_INET6)
        sp_addr_format_ip(peer, out);
    else
        memcpy(out, "local", 6);
    return sp_bytes_cstr(out);
}

/* Browsers say where a request comes from; a form on another site must not post here. (Origin is no help: with
 * Referrer-Policy no-referrer our own pages send "null".) */
bool sp_portal_is_foreign(struct sp_web_request *req)
{
    struct sp_bytes site = sp_web_head_field(sp_web_request_head(req), SP_LIT("sec-fetch-site"));

    if (site.len == 0 || sp_bytes_eq(site, SP_LIT("same-origin")) ||
        sp_bytes_eq(site, SP_LIT("none")))
        return false;
    sp_web_reply_error(req, 403);
    return true;
}

void sp_portal_set_cookie(struct sp_web_request *req, const char *name, const char *value,
                          const char *path, int64_t max_age_ms)
{
    struct sp_buf b;

    sp_buf_init(&b, 512);
    sp_buf_printf(&b, "%s=%s; Path=%s; Max-Age=%lld; Secure; HttpOnly; SameSite=Strict", name,
                  value, path, (long long)(max_age_ms / 1000));
    sp_assert(sp_buf_rc(&b) == SP_OK);
    sp_web_reply_field(req, "Set-Cookie", sp_buf_bytes(&b));
    sp_buf_wipe(&b);
}

/* ---- pages ---- */

static void put_problem(struct sp_buf *b, const char *problem)
{
    if (problem != NULL)
        sp_buf_printf(b, "<p class=\"bad\" role=\"alert\">%s</p>\n", problem);
}

static void send_enter_page(struct sp_web_request *req, int status, const char *problem)
{
    struct sp_buf b;

    sp_buf_init(&b, PORTAL_PAGE_MAX);
    sp_portal_page_begin(&b, "Secure message");
    sp_buf_put_cstr(&b, "<h1>A secure message is waiting</h1>\n");
    put_problem(&b, problem);
    sp_buf_put_cstr(
        &b,
        "<p>To make sure that only you read it, we send a code to the mailbox that got the "
        "notice.</p>\n<form method=\"post\" action=\"/code\" autocomplete=\"off\">\n"
        "<p id=\"known\" class=\"dim\" hidden>Your link was recognised.</p>\n"
        "<div id=\"paste\">\n<label for=\"token\">Link from your notice</label>\n"
        "<input type=\"text\" id=\"token\" name=\"token\" maxlength=\"600\" autocapitalize=\"off\" "
        "spellcheck=\"false\" aria-describedby=\"token-help\">\n"
        "<p id=\"token-help\" class=\"dim\">Paste the whole link, or the part behind the # "
        "sign.</p>\n</div>\n<button type=\"submit\">Send me a code</button>\n</form>\n"
        "<script src=\"/script.js\"></script>\n");
    sp_portal_page_end(&b);
    sp_portal_page_send(req, status, &b);
}

/* token: "" leaves the way to another code out */
static void send_code_page(struct sp_web_request *req, int status, const char *token,
                           const char *problem)
{
    struct sp_buf b;

    sp_buf_init(&b, PORTAL_PAGE_MAX);
    sp_portal_page_begin(&b, "Enter your code");
    sp_buf_put_cstr(&b, "<h1>Enter your code</h1>\n");
    put_problem(&b, problem);
    sp_buf_put_cstr(
        &b, "<p>If the link is right, a code is on its way to your mailbox. It may take a minute; "
            "look among unwanted mail too. Keep this page open.</p>\n"
            "<form method=\"post\" action=\"/open\" autocomplete=\"off\">\n"
            "<label for=\"code\">Code from the mail, 8 digits</label>\n"
            "<input type=\"text\" class=\"code\" id=\"code\" name=\"code\" inputmode=\"numeric\" "
            "autocomplete=\"one-time-code\" maxlength=\"12\" required autofocus>\n"
            "<br>\n<button type=\"submit\">Open the message</button>\n</form>\n");
    if (token[0] != '\0')
        sp_buf_printf(&b,
                      "<h2>No mail?</h2>\n<form method=\"post\" action=\"/code\">\n"
                      "<input type=\"hidden\" name=\"token\" value=\"%s\">\n"
                      "<button class=\"quiet\" type=\"submit\">Send another code</button>\n"
                      "</form>\n",
                      token);
    else
        sp_buf_put_cstr(&b, "<p class=\"dim\">For another code use the link in your notice "
                            "again.</p>\n");
    sp_portal_page_end(&b);
    sp_portal_page_send(req, status, &b);
}

/* ---- handlers ---- */

static void on_home(void *arg, struct sp_web_request *req)
{
    struct sp_buf b;

    (void)arg;
    sp_buf_init(&b, PORTAL_PAGE_MAX);
    sp_portal_page_note(&b, "Secure mail",
                        "Messages are picked up here by those they were written for. "
                        "To read yours, use the link in the notice that was sent to you.");
    sp_portal_page_send(req, 200, &b);
}

static void on_style(void *arg, struct sp_web_request *req)
{
    (void)arg;
    sp_web_reply(req, 200, "text/css; charset=utf-8", sp_bytes_cstr(sp_portal_style));
}

static void on_script(void *arg, struct sp_web_request *req)
{
    (void)arg;
    sp_web_reply(req, 200, "text/javascript; charset=utf-8", sp_bytes_cstr(sp_portal_script));
}

static void on_robots(void *arg, struct sp_web_request *req)
{
    (void)arg;
    sp_web_reply(req, 200, "text/plain", SP_LIT("User-agent: *\nDisallow: /\n"));
}

static void on_enter(void *arg, struct sp_web_request *req)
{
    (void)arg;
    send_enter_page(req, 200, NULL);
}

static void on_code(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    char client[SP_ADDR_TEXT_MAX], token[PORTAL_SECRET_TEXT], challenge[PORTAL_SECRET_TEXT];
    struct sp_buf field;
    bool readable;
    enum sp_rc rc;

    if (sp_portal_is_foreign(req))
        return;
    sp_buf_init(&field, 1024);
    readable = sp_web_request_form(req, SP_LIT("token"), &field) &&
               sp_portal_token_parse(sp_buf_bytes(&field), token);
    sp_buf_wipe(&field);
    if (!readable) {
        send_enter_page(req, 400, "That is not a link from a notice. Please paste all of it.");
        return;
    }
    rc = sp_portal_challenge_new(p, sp_bytes_cstr(token), sp_portal_client(req, client), challenge);
    if (rc == SP_OK) {
        sp_portal_set_cookie(req, CHALLENGE, challenge, "/", p->o.code_ms);
        send_code_page(req, 200, token, NULL);
    } else {
        sp_web_reply_error(req, rc == SP_E_PORTAL_EXPIRED ? 410 : 503);
    }
    sp_wipe(challenge, sizeof(challenge));
}

/* The opening stands in the audit: now the browser gets its session. The code ends first, and only who ended it goes on:
 * of two answers that waited for the ledger with the same code one gets a session (the audit then counts one opening too
 * many, never one too few), and a code that can't be ended opens nothing. */
static void opened(struct portal_wait *w, struct sp_web_request *req)
{
    struct sp_portal *p = w->portal;
    char secret[PORTAL_SECRET_TEXT] = "", path[8 + SP_PORTAL_PACKAGE_MAX];
    struct sp_buf b;
    enum sp_rc rc = sp_portal_challenge_end(p, sp_bytes_cstr(w->secret));

    if (rc == SP_E_PORTAL_CODE) {
        send_code_page(req, 403, "", wrong_code);
        return;
    }
    if (rc == SP_OK)
        rc = sp_portal_count_open(p, &w->package);
    if (rc == SP_OK)
        rc = sp_portal_session_new(p, &w->package, secret);
    if (rc != SP_OK) {
        sp_wipe(secret, sizeof(secret));
        sp_web_reply_error(req, 503);
        return;
    }
    sp_buf_init(&b, sizeof(path));
    sp_buf_printf(&b, "/m/%s", w->package.id);
    memcpy(path, b.ptr, b.len);
    path[b.len] = '\0';
    sp_buf_clear(&b);
    sp_portal_set_cookie(req, SESSION, secret, path, p->o.session_ms);
    sp_portal_set_cookie(req, CHALLENGE, "", "/", 0);
    sp_web_reply_see(req, path);
    sp_log_info(p->o.log, "portal.opened", SP_ID("message", &w->package.message));
    sp_wipe(secret, sizeof(secret));
}

/* A wrong code is recorded too, without the person waiting for it. why: its reason */
static void record_failure(struct sp_portal *p, const struct portal_package *pkg,
                           struct sp_bytes client, bool typed, const char *why)
{
    struct portal_access a = {.event = "portal.login-failed",
                              .package = pkg,
                              .client = client,
                              .agent = typed ? PORTAL_AGENT_UNKNOWN : PORTAL_AGENT_SCANNER,
                              .why = why};
    struct sp_buf event;

    sp_buf_init(&event, 8192);
    sp_portal_record_access(&event, &a);
    p->o.ops.act(p->o.ops.ctx, sp_buf_bytes(&event), true, NULL, NULL);
    sp_buf_clear(&event);
}

/* Who is turned away goes on trying at no cost: a few lines an hour say so, for each client and for each package (whose
 * attacker may have many addresses), and the rest would only bury the ledger. */
static void record_throttled(struct sp_portal *p, const struct portal_package *pkg,
                             struct sp_bytes client, bool typed)
{
    if (pkg->id[0] != '\0' &&
        sp_portal_limit_take(p, "client-throttled", client, HOUR_MS, THROTTLED_A_CLIENT) &&
        sp_portal_limit_take(p, "package-throttled", sp_bytes_cstr(pkg->id), HOUR_MS,
                             THROTTLED_A_PACKAGE))
        record_failure(p, pkg, client, typed, "portal.throttled");
}

static void open_package(struct sp_portal *p, struct sp_web_request *req,
                         struct portal_package *pkg, struct sp_bytes challenge,
                         struct sp_bytes client)
{
    struct portal_wait *w = sp_portal_wait_new(p, req, pkg, opened);
    struct portal_access a = {.event = "portal.opened",
                              .package = &w->package,
                              .client = client,
                              .agent = PORTAL_AGENT_PERSON};

    w->package.opens++;
    sp_assert(challenge.len < sizeof(w->secret));
    memcpy(w->secret, challenge.ptr, challenge.len);
    sp_portal_after_record(w, &a);
}

static void on_open(void *arg, struct sp_web_request *req)
{
    struct sp_portal *p = arg;
    char client_text[SP_ADDR_TEXT_MAX];
    struct sp_bytes client = sp_portal_client(req, client_text);
    struct sp_bytes challenge = sp_web_request_cookie(req, SP_LIT(CHALLENGE));
    struct portal_package pkg = {0};
    struct sp_buf code;
    bool typed;
    enum sp_rc rc;

    if (sp_portal_is_foreign(req))
        return;
    sp_buf_init(&code, 64);
    typed = sp_web_request_form(req, SP_LIT("code"), &code) &&
            sp_bytes_trim(sp_buf_bytes(&code)).len > 0;
    rc = sp_portal_challenge_try(p, challenge, sp_buf_bytes(&code), client, &pkg);
    sp_buf_wipe(&code);
    if (rc == SP_OK) {
        open_package(p, req, &pkg, challenge, client);
    } else if (rc == SP_E_PORTAL_CODE) {
        if (pkg.id[0] != '\0')
            record_failure(p, &pkg, client, typed, typed ? "portal.code" : "portal.no-code");
        send_code_page(req, 403, "", wrong_code);
    } else {
        if (rc == SP_E_PORTAL_THROTTLED)
            record_throttled(p, &pkg, client, typed);
        sp_web_reply_error(req, rc == SP_E_PORTAL_THROTTLED ? 429
                                : rc == SP_E_PORTAL_EXPIRED ? 410
                                                            : 503);
    }
}

const struct sp_web_route sp_portal_routes[] = {
    {SP_WEB_GET, "/", 0, on_home},
    {SP_WEB_GET, "/p", 0, on_enter},
    {SP_WEB_GET, "/style.css", 0, on_style},
    {SP_WEB_GET, "/script.js", 0, on_script},
    {SP_WEB_GET, "/robots.txt", 0, on_robots},
    {SP_WEB_POST, "/code", FORM_MAX, on_code},
    {SP_WEB_POST, "/open", FORM_MAX, on_open},
    {SP_WEB_GET, "/m/:", 0, sp_portal_on_message},
    {SP_WEB_GET, "/m/:/html", 0, sp_portal_on_html},
    {SP_WEB_POST, "/m/:/part/:", FORM_MAX, sp_portal_on_part},
    {SP_WEB_POST, "/m/:/original", FORM_MAX, sp_portal_on_original},
    {SP_WEB_POST, "/m/:/leave", FORM_MAX, sp_portal_on_leave},
    {SP_WEB_GET, "/m/:/choice", 0, sp_portal_on_choice},
    {SP_WEB_POST, "/m/:/choice", FORM_MAX, sp_portal_on_choose},
};
const size_t sp_portal_route_count = SP_ARRAY_LEN(sp_portal_routes);
