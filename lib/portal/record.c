/*
 * Audit events of the portal, and answers that wait until theirs is durable: whoever reads a package has left a line in
 * the audit stream first. No record, no access.
 */
#include "portal/report_priv.h"

#include "base/text.h"

static const char *const agents[] = {
    [PORTAL_AGENT_PERSON] = "person",
    [PORTAL_AGENT_SCANNER] = "scanner",
    [PORTAL_AGENT_UNKNOWN] = "unknown",
};

static void begin_event(struct sp_jw *w, struct sp_buf *out, const char *event,
                        const struct portal_package *pkg)
{
    sp_jw_init(w, out);
    sp_jw_object(w, NULL);
    sp_jw_cstr(w, "event", event);
    sp_jw_cstr(w, "tenant", pkg->tenant);
    sp_jw_id(w, "message", pkg->message.b);
    sp_jw_array(w, "n");
    sp_jw_int(w, NULL, pkg->n);
    sp_jw_end(w);
    sp_jw_cstr(w, "package", pkg->id);
}

void sp_portal_record_access(struct sp_buf *out, const struct portal_access *a)
{
    struct sp_jw w;

    begin_event(&w, out, a->event, a->package);
    sp_jw_object(&w, "actor");
    sp_jw_cstr(&w, "type", "recipient");
    sp_jw_cstr(&w, "id", a->package->recipient);
    sp_jw_cstr(&w, "auth", a->why == NULL ? "code" : "none");
    sp_jw_text(&w, "ip", a->client);
    sp_jw_end(&w);
    sp_jw_object(&w, "access");
    sp_jw_cstr(&w, "proof", "code");
    sp_jw_text(&w, "ip", a->client);
    sp_jw_cstr(&w, "agent_class", agents[a->agent]);
    sp_jw_int(&w, "opens", a->package->opens);
    sp_jw_end(&w);
    if (strcmp(a->event, "portal.downloaded") == 0) {
        if (a->part < 0)
            sp_jw_cstr(&w, "what", "original");
        else
            sp_jw_cstr(&w, "what", "part");
        if (a->part >= 0)
            sp_jw_int(&w, "part", a->part);
    }
    if (a->why != NULL)
        sp_jw_cstr(&w, "why", a->why);
    sp_jw_end(&w);
}

void sp_portal_record_destroyed(struct sp_buf *out, const struct portal_package *pkg)
{
    struct sp_jw w;
    char key[SP_PORTAL_KEY_MAX];

    sp_portal_key_name(pkg->id, key);
    begin_event(&w, out, "content.destroyed", pkg);
    sp_jw_cstr(&w, "key", key);
    sp_jw_cstr(&w, "how", "key-destroyed");
    sp_jw_array(&w, "copies_left");
    sp_jw_end(&w);
    sp_jw_end(&w);
}

void sp_portal_record_reminded(struct sp_buf *out, const struct portal_package *pkg, bool sender)
{
    struct sp_jw w;

    begin_event(&w, out, "portal.reminded", pkg);
    sp_jw_cstr(&w, "who", sender ? "sender" : "recipient");
    sp_jw_object(&w, "access");
    sp_jw_int(&w, "opens", pkg->opens);
    sp_jw_end(&w);
    sp_jw_end(&w);
}

void sp_portal_record_report(struct sp_buf *out, const struct portal_package *pkg,
                             const struct sp_id *dsn, const char *why)
{
    struct sp_jw w;

    begin_event(&w, out, "dsn.sent", pkg);
    sp_jw_id(&w, "dsn", dsn->b);
    sp_jw_cstr(&w, "action", why == NULL ? "delivered" : "failed");
    sp_jw_cstr(&w, "to", pkg->sender);
    if (why != NULL)
        sp_jw_cstr(&w, "why", why);
    sp_jw_end(&w);
}

void sp_portal_record_unread(struct sp_buf *out, const struct portal_package *pkg)
{
    struct sp_jw w;
    char expired[SP_TIME_TEXT_MAX];

    sp_time_format_rfc3339(pkg->expires_ms, expired);
    begin_event(&w, out, "portal.expired-unread", pkg);
    sp_jw_object(&w, "access");
    sp_jw_int(&w, "opens", 0);
    sp_jw_cstr(&w, "expired", expired);
    sp_jw_end(&w);
    sp_jw_end(&w);
}

struct portal_wait *sp_portal_wait_new(struct sp_portal *p, const struct sp_web_request *req,
                                       const struct portal_package *pkg,
                                       void (*go)(struct portal_wait *w,
                                                  struct sp_web_request *req))
{
    struct portal_wait *w = sp_calloc(1, sizeof(*w));

    w->portal = p;
    w->request = sp_web_request_handle(req);
    w->go = go;
    w->package = *pkg;
    sp_list_append(&p->waits, &w->in_portal);
    return w;
}

void sp_portal_wait_free(struct portal_wait *w)
{
    sp_list_remove(&w->in_portal);
    sp_wipe(w, sizeof(*w));
    sp_free(w);
}

static void on_recorded(void *arg, enum sp_rc rc)
{
    struct portal_wait *w = arg;
    struct sp_web_request *req = sp_web_server_find(w->portal->web, w->request);

    if (rc != SP_OK)
        sp_log_error(w->portal->o.log, "portal.not-recorded", SP_ID("message", &w->package.message),
                     SP_RC("why", rc));
    if (req != NULL && rc != SP_OK)
        sp_web_reply_error(req, 503);
    else if (req != NULL)
        w->go(w, req);
    sp_portal_wait_free(w);
}

void sp_portal_after_event(struct portal_wait *w, struct sp_bytes event)
{
    w->portal->o.ops.act(w->portal->o.ops.ctx, event, false, on_recorded, w);
}

void sp_portal_after_record(struct portal_wait *w, const struct portal_access *a)
{
    struct sp_buf event;

    sp_buf_init(&event, 8192);
    sp_portal_record_access(&event, a);
    sp_assert(sp_buf_rc(&event) == SP_OK);
    sp_portal_after_event(w, sp_buf_bytes(&event));
    sp_buf_clear(&event);
}
