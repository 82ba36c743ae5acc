/*
 * The layers of tenants, domains and users: files in layers/ beside the main one. Each makes a policy of its own, compiled
 * from the main file's layers and those that its senders stand in, so that a decision finds its policy by one look-up and
 * asks no more than a gateway with one tenant does. Lists that the outer layers own are shared, not read again.
 */
#include "policy/load_priv.h"

#define KEY_MAX 600

static const char *const user_keys[] = {"$schema", "version", "scope", "settings", "note", NULL};

static struct sp_bytes domain_of(struct sp_bytes address)
{
    size_t at = address.len;

    while (at > 0 && address.ptr[at - 1] != '@')
        at--;
    return at == 0 ? sp_bytes(NULL, 0) : sp_bytes_slice(address, at, SIZE_MAX);
}

/* "tenant/", "tenant/@domain" or "tenant/user@domain", in lower case. returns: empty if it is too long to be one */
static struct sp_bytes make_key(uint8_t key[KEY_MAX], struct sp_bytes tenant, struct sp_bytes rest,
                                bool is_domain)
{
    size_t n = 0;

    if (tenant.len + rest.len + 2 > KEY_MAX)
        return sp_bytes(NULL, 0);
    for (size_t i = 0; i < tenant.len; i++)
        key[n++] = sp_ascii_lower(tenant.ptr[i]);
    key[n++] = '/';
    if (is_domain)
        key[n++] = '@';
    for (size_t i = 0; i < rest.len; i++)
        key[n++] = sp_ascii_lower(rest.ptr[i]);
    return sp_bytes(key, n);
}

static const struct sp_policy *find(const struct sp_policy *p, struct sp_bytes tenant,
                                    struct sp_bytes rest, bool is_domain)
{
    uint8_t key[KEY_MAX];
    struct sp_bytes text = make_key(key, tenant, rest, is_domain);

    return text.len == 0 ? NULL : sp_map_find(p->by_scope, text);
}

const struct sp_policy *sp_policy_for(const struct sp_policy *p, struct sp_bytes tenant,
                                      struct sp_bytes sender)
{
    struct sp_bytes domain = domain_of(sender);
    const struct sp_policy *found = NULL;

    if (p->by_scope == NULL || tenant.len == 0)
        return p;
    if (sender.len > 0)
        found = find(p, tenant, sender, false);
    if (found == NULL && domain.len > 0)
        found = find(p, tenant, domain, true);
    if (found == NULL)
        found = find(p, tenant, sp_bytes(NULL, 0), false);
    return found == NULL ? p : found;
}

const struct sp_policy *sp_policy_of_facts(const struct sp_policy *p, const struct sp_facts *f)
{
    const struct sp_fact_value *tenant = &f->values[SP_FACT_TENANT];
    const struct sp_fact_value *sender = &f->values[SP_FACT_SENDER_ADDRESS];

    if (p->by_scope == NULL || tenant->state != SP_FACT_KNOWN)
        return p;
    return sp_policy_for(p, tenant->text,
                         sender->state == SP_FACT_KNOWN ? sender->text : sp_bytes(NULL, 0));
}

bool sp_policy_whose_next(const struct sp_policy *p, size_t *at, struct sp_policy_whose *out)
{
    while (*at < p->layer_count + p->scoped_count) {
        size_t i = (*at)++;
        const struct sp_policy_layer *l =
            i < p->layer_count ? &p->layers[i] : &p->scoped[i - p->layer_count];
        const struct sp_scope *s = &l->scope;

        if (s->tenant.len + s->domain.len + s->user.len == 0)
            continue;
        *out = (struct sp_policy_whose){l->file, s->tenant,
                                        s->user.len > 0 ? domain_of(s->user) : s->domain};
        return true;
    }
    return false;
}

/* ---- loading ---- */

static bool check_scope(struct sp_loader *l, const struct sp_policy_layer *layer)
{
    const struct sp_json *scope = sp_json_find(layer->root, "scope");
    const struct sp_json *v = sp_json_find(layer->root, "extends");

    if (scope == NULL || layer->scope.tenant.len == 0) {
        sp_problem(l->problems, scope == NULL ? layer->root : scope, SP_E_CONFIG_MISSING,
                   "a file in layers/ needs \"scope\": {\"tenant\": NAME}, with \"domain\" or "
                   "\"user\" beside it if it is for these alone");
        return false;
    }
    if (layer->scope.domain.len > 0 && layer->scope.user.len > 0)
        sp_problem(l->problems, scope, SP_E_POLICY_INVALID,
                   "a layer is for a domain or for a user: take one of the two out");
    if (v != NULL)
        sp_problem(l->problems, v, SP_E_POLICY_INVALID,
                   "a file in layers/ lies within the main file and extends nothing else");
    if ((v = sp_json_find(layer->root, "preferences")) != NULL)
        sp_policy_loader_idle(l, v, SP_E_POLICY_INVALID,
                              "the registry of preferences is one: name it in the main file");
    if (layer->scope.user.len > 0)
        sp_policy_loader_keys(l, layer->root, user_keys);
    return true;
}

static void copy_layer(struct sp_policy *view, const struct sp_policy_layer *from, bool is_main)
{
    struct sp_policy_layer *to = &view->layers[view->layer_count++];

    *to = *from;
    to->is_main = is_main;
}

/* The layers of a scope, outermost first: the root's, then its tenant's, its domain's, its own. */
static void make_chain(struct sp_policy *root, struct sp_policy *view,
                       const struct sp_policy_layer *own)
{
    struct sp_bytes domain =
        own->scope.user.len > 0 ? domain_of(own->scope.user) : own->scope.domain;

    for (size_t i = 0; i < root->layer_count; i++)
        copy_layer(view, &root->layers[i], false);
    for (int rank = 0; rank < 2; rank++) { /* the tenant's, then the domain's */
        for (size_t i = 0; i < root->scoped_count; i++) {
            const struct sp_policy_layer *s = &root->scoped[i];

            if (s == own || s->scope.user.len > 0 || (s->scope.domain.len > 0) != (rank == 1) ||
                !sp_bytes_eq_nocase(s->scope.tenant, own->scope.tenant))
                continue;
            if (rank == 0 ||
                (own->scope.user.len > 0 && sp_bytes_eq_nocase(s->scope.domain, domain)))
                copy_layer(view, s, false);
        }
    }
    copy_layer(view, own, true);
}

static void compile(struct sp_loader *l, struct sp_policy_layer *own, struct sp_policy *view)
{
    struct sp_policy *root = l->policy;
    struct sp_loader inner = {.policy = view,
                              .reader = l->reader,
                              .problems = l->problems,
                              .dir = l->dir,
                              .version = l->version,
                              .root = l,
                              .language = l->language,
                              .is_past = l->is_past};

    view->arena = root->arena;
    view->root = root;
    make_chain(root, view, own);
    sp_policy_load_compile(&inner);
    if (view->last_stage > root->last_stage)
        root->last_stage = view->last_stage;
}

static void register_scope(struct sp_loader *l, const struct sp_policy_layer *own,
                           struct sp_policy *view)
{
    uint8_t key[KEY_MAX];
    bool is_domain = own->scope.domain.len > 0;
    struct sp_bytes text = make_key(key, own->scope.tenant,
                                    is_domain ? own->scope.domain : own->scope.user, is_domain);

    if (text.len == 0 || sp_map_put(l->policy->by_scope, text, view) != NULL)
        sp_problem(l->problems, sp_json_find(own->root, "scope"), SP_E_POLICY_INVALID,
                   "another file in layers/ is for this scope already");
}

static void read_layers(struct sp_loader *l, const char *dir)
{
    struct sp_policy *p = l->policy;
    struct sp_bytes name, text;
    size_t at = 0;

    p->scoped = sp_arena_alloc(p->arena, SP_POLICY_SCOPED_MAX * sizeof(*p->scoped));
    memset(p->scoped, 0, SP_POLICY_SCOPED_MAX * sizeof(*p->scoped));
    while (l->reader->next(l->reader->ctx, dir, &at, &name)) {
        const char *path = sp_arena_cstr(p->arena, name);
        struct sp_policy_layer *layer = &p->scoped[p->scoped_count];
        enum sp_rc rc;

        if (!sp_bytes_ends_nocase(name, SP_LIT(".json")))
            continue;
        if (p->scoped_count == SP_POLICY_SCOPED_MAX) {
            sp_problem_file(l->problems, path, 0, SP_E_LIMIT, "more than %d layers",
                            SP_POLICY_SCOPED_MAX);
            return;
        }
        rc = l->reader->read(l->reader->ctx, path, &text);
        if (rc != SP_OK)
            sp_problem_file(l->problems, path, 0, rc, "can't read it: %s", sp_rc_name(rc));
        else if (sp_policy_load_layer(l, path, text, layer) && check_scope(l, layer))
            p->scoped[p->scoped_count++].is_scoped = true;
        else
            sp_json_doc_free(layer->doc);
    }
}

void sp_policy_load_scoped_read(struct sp_loader *l)
{
    if (l->reader->next != NULL)
        read_layers(l, sp_policy_loader_join(l, l->dir, SP_LIT("layers/"), ""));
}

void sp_policy_load_scoped(struct sp_loader *l)
{
    struct sp_policy *p = l->policy;

    if (p->scoped_count == 0)
        return;
    p->by_scope = sp_map_new();
    p->views = sp_arena_alloc(p->arena, p->scoped_count * sizeof(struct sp_policy *));
    for (size_t i = 0; i < p->scoped_count; i++) {
        p->views[i] = sp_arena_alloc(p->arena, sizeof(struct sp_policy));
        memset(p->views[i], 0, sizeof(struct sp_policy));
    }
    for (size_t i = 0; i < p->scoped_count; i++) {
        compile(l, &p->scoped[i], p->views[i]);
        register_scope(l, &p->scoped[i], p->views[i]);
    }
}
