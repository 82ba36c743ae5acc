/*
 * libcurl's multi interface on our loop: curl tells which sockets and which timer it wants, and gets their events. The
 * name is never looked up here (CURLOPT_RESOLVE carries the caller's addresses, and keeps the name for SNI, certificate
 * and Host), nothing but https is spoken, a redirect is an answer like any other, and a body that passes its limit ends
 * the transfer, whatever length was announced.
 */
#include "fetch/fetch.h"

#include "base/buf.h"
#include "io/loop.h"
#include "log/log.h"

#include <curl/curl.h>

#define URL_MAX     1024
#define RESOLVE_MAX 1024

struct transfer {
    struct sp_list at;
    struct sp_fetch *f;
    sp_handle handle;
    CURL *easy;
    struct curl_slist *resolve;
    struct curl_slist *header; /* of a POST, else NULL */
    struct sp_buf body;
    sp_fetch_fn fn;
    void *arg;
    enum sp_rc failed; /* could not be started, or came too long */
};

struct sp_fetch {
    struct sp_loop *loop;
    struct sp_log *log;
    struct sp_bytes ca_pem;
    CURLM *multi;
    struct sp_timer *timer;
    struct sp_timer *look; /* for transfers that have ended */
    struct sp_slots *slots;
    struct sp_list transfers;
};

struct socket_watch {
    struct sp_fetch *f;
    struct sp_watch *watch;
    curl_socket_t fd;
};

/* ---- ends ---- */

static void drop(struct transfer *t)
{
    (void)sp_slots_remove(t->f->slots, t->handle);
    sp_list_remove(&t->at);
    if (t->easy != NULL) {
        (void)curl_multi_remove_handle(t->f->multi, t->easy);
        curl_easy_cleanup(t->easy);
    }
    curl_slist_free_all(t->resolve);
    curl_slist_free_all(t->header);
    sp_buf_clear(&t->body);
    sp_free(t);
}

static enum sp_rc rc_of(const struct transfer *t, CURLcode code, long status)
{
    if (t->failed != SP_OK)
        return t->failed;
    switch (code) {
    case CURLE_OK:
        return status == 200 || (t->header != NULL && status / 100 == 2) ? SP_OK
                                                                         : SP_E_FETCH_STATUS;
    case CURLE_OPERATION_TIMEDOUT:
        return SP_E_TIMEOUT;
    case CURLE_FILESIZE_EXCEEDED:
        return SP_E_LIMIT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
        return SP_E_TLS_UNTRUSTED;
    default:
        return SP_E_FETCH_FAILED;
    }
}

/* The media type without its parameters. */
static struct sp_bytes media_type(const char *text)
{
    struct sp_bytes all = sp_bytes_cstr(text);
    size_t semicolon = sp_bytes_find(all, ';');

    return sp_bytes_trim(sp_bytes_slice(all, 0, semicolon));
}

static void finish(struct transfer *t, CURLcode code)
{
    struct sp_fetch_reply reply = {0};
    char *type = NULL;
    long status = 0;

    if (t->easy != NULL) {
        (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(t->easy, CURLINFO_CONTENT_TYPE, &type);
    }
    reply.rc = rc_of(t, code, status);
    reply.status = (int)status;
    reply.type = media_type(type);
    reply.body = sp_buf_bytes(&t->body);
    t->fn(t->arg, &reply);
    drop(t);
}

/* Tells of all that has ended. Transfers may come and go meanwhile. */
static void on_look(void *arg)
{
    struct sp_fetch *f = arg;
    CURLMsg *m;
    int left;

    while ((m = curl_multi_info_read(f->multi, &left)) != NULL) {
        struct transfer *t = NULL;
        CURLcode code = m->data.result;

        if (m->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        finish(t, code);
    }
    SP_LIST_EACH(at, &f->transfers)
    {
        struct transfer *t = SP_CONTAINER(at, struct transfer, at);

        if (t->easy == NULL) {
            finish(t, CURLE_FAILED_INIT);
            sp_timer_start(f->look, 0); /* the list may have changed: look anew */
            return;
        }
    }
}

/* ---- curl's wishes ---- */

static void act(struct sp_fetch *f, curl_socket_t fd, int events)
{
    int running;

    (void)curl_multi_socket_action(f->multi, fd, events, &running);
    sp_timer_start(f->look, 0);
}

static void on_socket(void *arg, int events)
{
    struct socket_watch *w = arg;

    act(w->f, w->fd,
        ((events & SP_READ) != 0 ? CURL_CSELECT_IN : 0) |
            ((events & SP_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static void on_timer(void *arg)
{
    act(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct sp_fetch *f = arg;
    struct socket_watch *w = socket_arg;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL) {
            sp_watch_free(w->watch);
            sp_loop_free_later(f->loop, sp_free, w); /* its event may be the one being served */
        }
        (void)curl_multi_assign(f->multi, fd, NULL);
        return 0;
    }
    if (w == NULL) {
        w = sp_calloc(1, sizeof(*w));
        w->f = f;
        w->fd = fd;
        w->watch = sp_watch_new(f->loop, fd, on_socket, w);
        (void)curl_multi_assign(f->multi, fd, w);
    }
    sp_watch_set(w->watch, ((what & CURL_POLL_IN) != 0 ? SP_READ : 0) |
                               ((what & CURL_POLL_OUT) != 0 ? SP_WRITE : 0));
    return 0;
}

static int want_timer(CURLM *multi, long after_ms, void *arg)
{
    struct sp_fetch *f = arg;

    (void)multi;
    if (after_ms < 0)
        sp_timer_cancel(f->timer);
    else
        sp_timer_start(f->timer, after_ms);
    return 0;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;

    sp_buf_put(&t->body, sp_bytes(data, size * count));
    if (sp_buf_rc(&t->body) == SP_OK)
        return size * count;
    t->failed = SP_E_LIMIT;
    return 0;
}

/* ---- starting ---- */

static bool set_target(struct transfer *t, const struct sp_fetch_request *r)
{
    struct sp_buf text;
    bool ok;

    sp_buf_init(&text, RESOLVE_MAX);
    sp_buf_printf(&text, "%s:%u:", r->host, r->port);
    for (size_t i = 0; i < r->address_count; i++)
        sp_buf_printf(&text, i == 0 ? "%s" : ",%s", r->addresses[i]);
    sp_buf_put_u8(&text, 0);
    ok = sp_buf_rc(&text) == SP_OK && r->address_count > 0;
    if (ok)
        t->resolve = curl_slist_append(NULL, (const char *)text.ptr);
    sp_buf_reset(&text);
    sp_buf_printf(&text, "https://%s:%u%s", r->host, r->port, r->path);
    sp_buf_put_u8(&text, 0);
    ok = ok && sp_buf_rc(&text) == SP_OK && t->resolve != NULL &&
         curl_easy_setopt(t->easy, CURLOPT_URL, (const char *)text.ptr) == CURLE_OK &&
         curl_easy_setopt(t->easy, CURLOPT_RESOLVE, t->resolve) == CURLE_OK;
    sp_buf_clear(&text);
    return ok;
}

static bool set_rules(struct transfer *t, const struct sp_fetch_request *r)
{
    CURL *e = t->easy;
    struct sp_bytes ca = t->f->ca_pem;
    struct curl_blob blob = {(void *)ca.ptr, ca.len, CURL_BLOB_COPY};
    CURLcode bad = CURLE_OK;

    bad |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "https");
    bad |= curl_easy_setopt(e, CURLOPT_PROXY, "");
    bad |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
    bad |= curl_easy_setopt(e, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    bad |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    bad |= curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)r->body_max);
    bad |= curl_easy_setopt(e, CURLOPT_USERAGENT, "sallyport/" SP_VERSION);
    bad |= curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    bad |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    bad |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    if (ca.len > 0) /* in the place of the file of anchors; the system's folder of them stays */
        bad |= curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
    return bad == CURLE_OK;
}

/* Without "Expect: 100-continue": what is posted is small, and not every server knows it. */
static bool set_post(struct transfer *t, const struct sp_fetch_request *r)
{
    struct curl_slist *more;
    struct sp_buf type;
    CURLcode bad = CURLE_OK;

    if (r->type == NULL)
        return true;
    sp_buf_init(&type, RESOLVE_MAX);
    sp_buf_printf(&type, "Content-Type: %s", r->type);
    sp_buf_put_u8(&type, 0);
    if (sp_buf_rc(&type) == SP_OK)
        t->header = curl_slist_append(NULL, (const char *)type.ptr);
    sp_buf_clear(&type);
    more = t->header == NULL ? NULL : curl_slist_append(t->header, "Expect:");
    if (more == NULL)
        return false;
    bad |= curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, more);
    bad |= curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->content.len);
    bad |= curl_easy_setopt(t->easy, CURLOPT_COPYPOSTFIELDS, (const char *)r->content.ptr);
    return bad == CURLE_OK;
}

sp_handle sp_fetch_start(struct sp_fetch *f, const struct sp_fetch_request *request, sp_fetch_fn fn,
                         void *arg)
{
    struct transfer *t = sp_calloc(1, sizeof(*t));

    t->f = f;
    t->fn = fn;
    t->arg = arg;
    t->handle = sp_slots_add(f->slots, t);
    sp_list_append(&f->transfers, &t->at);
    sp_buf_init(&t->body, request->body_max);
    t->easy = curl_easy_init();
    if (t->easy != NULL && set_target(t, request) && set_rules(t, request) &&
        set_post(t, request) && curl_multi_add_handle(f->multi, t->easy) == CURLM_OK)
        return t->handle;
    if (t->easy != NULL)
        curl_easy_cleanup(t->easy);
    t->easy = NULL;
    t->failed = SP_E_FETCH_FAILED;
    sp_timer_start(f->look, 0);
    return t->handle;
}

void sp_fetch_cancel(struct sp_fetch *f, sp_handle fetch)
{
    struct transfer *t = sp_slots_find(f->slots, fetch);

    if (t != NULL)
        drop(t);
}

enum sp_rc sp_fetch_new(struct sp_loop *loop, struct sp_log *log, struct sp_bytes ca_pem,
                        struct sp_fetch **out)
{
    struct sp_fetch *f;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return SP_E_FETCH_FAILED;
    f = sp_calloc(1, sizeof(*f));
    f->loop = loop;
    f->log = log;
    f->ca_pem = ca_pem;
    f->slots = sp_slots_new();
    f->timer = sp_timer_new(loop, on_timer, f);
    f->look = sp_timer_new(loop, on_look, f);
    sp_list_init(&f->transfers);
    f->multi = curl_multi_init();
    if (f->multi == NULL) {
        sp_fetch_free(f);
        return SP_E_FETCH_FAILED;
    }
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
    (void)curl_multi_setopt(f->multi, CURLMOPT_SOCKETDATA, f);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERFUNCTION, want_timer);
    (void)curl_multi_setopt(f->multi, CURLMOPT_TIMERDATA, f);
    *out = f;
    return SP_OK;
}

void sp_fetch_free(struct sp_fetch *f)
{
    if (f == NULL)
        return;
    SP_LIST_EACH(at, &f->transfers)
    drop(SP_CONTAINER(at, struct transfer, at));
    if (f->multi != NULL)
        (void)curl_multi_cleanup(f->multi);
    sp_timer_free(f->timer);
    sp_timer_free(f->look);
    sp_slots_free(f->slots);
    sp_free(f);
}
