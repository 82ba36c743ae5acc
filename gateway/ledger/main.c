/*
 * The ledger role: one of a gateway. It reads all shards' journals, writes the audit file and state.db, and holds the
 * record key and the signing key; a message's content it can't open. A reload restarts it: what it reads of the settings
 * (node, file, key) is what audit.started tells, and a new one of those is due with them.
 */
#include "gateway/ledger/ledger.h"

#include "policy/contacts.h"

#define BUNDLE_RECORD_KEK "secret/record.kek"

static enum sp_rc load_config(struct ledger *l, struct sp_err *err)
{
    SP_AUTO(sp_problems) problems = sp_problems_new();
    enum sp_rc rc = sp_config_load(sp_role_file(l->role, "sallyport.json"), "sallyport.json",
                                   problems, &l->config);

    if (rc != SP_OK)
        return sp_problems_rc(problems, err);
    l->node = sp_strdup(l->config->node);
    l->signer.node = l->node;
    rc = sp_secret_parse(sp_role_file(l->role, BUNDLE_RECORD_KEK), &l->record_kek);
    return rc == SP_OK ? SP_OK : sp_fail(err, rc, "no record key came with the bundle");
}

static enum sp_rc open_book(struct ledger *l, struct sp_err *err)
{
    struct sp_audit_book_options options = {.signer = &l->signer,
                                            .clock = l->clock,
                                            .log = l->log,
                                            .checkpoint_records =
                                                (uint64_t)l->config->audit.checkpoint_records,
                                            .checkpoint_ms = l->config->audit.checkpoint_ms,
                                            .rotate_len = (uint64_t)l->config->audit.rotate_size,
                                            .rotate_every_ms = l->config->audit.rotate_every_ms,
                                            .keep_ms = l->config->audit.keep_ms};
    struct sp_digest config;
    struct sp_secret facts, contacts;
    struct sp_buf database;
    struct sp_buf file;
    enum sp_rc rc;

    sp_crypt_sha256(sp_role_file(l->role, "sallyport.json"), config.b);
    options.config = &config;
    options.generation = sp_role_generation(l->role);
    sp_crypt_hkdf(sp_secret_bytes(&l->record_kek), SP_LIT("sallyport facts 1"), &facts);
    options.facts = &facts;
    sp_crypt_hkdf(sp_secret_bytes(&l->record_kek), SP_POLICY_CONTACTS_INFO, &contacts);
    options.contacts = l->config->contacts.max > 0 ? &contacts : NULL;
    options.contacts_max = (size_t)l->config->contacts.max;
    options.contacts_keep_ms = l->config->contacts.keep_ms;
    options.addresses = strcmp(l->config->audit.addresses, "hmac") == 0 ? &l->address_key : NULL;
    options.organization = l->config->tls_reports.organization[0] != 0
                               ? l->config->tls_reports.organization
                               : l->config->hostname;
    sp_buf_init(&database, LEDGER_PATH_MAX);
    sp_buf_init(&file, LEDGER_PATH_MAX);
    rc = ledger_path(&database, sp_role_dir(l->role), "state.db");
    if (rc == SP_OK)
        rc = ledger_path(&file, sp_role_dir(l->role), l->config->audit.file);
    if (rc == SP_OK) {
        l->file = sp_strdup((const char *)file.ptr);
        options.database = (const char *)database.ptr;
        options.file = l->file;
        rc = sp_audit_book_open(&options, &l->book, err);
    }
    sp_secret_clear(&facts);
    sp_secret_clear(&contacts);
    sp_buf_clear(&file);
    sp_buf_clear(&database);
    return rc;
}

static enum sp_rc start(struct sp_role *role, void **state, struct sp_err *err)
{
    struct ledger *l = sp_calloc(1, sizeof(*l));
    enum sp_rc rc;

    *state = l;
    l->role = role;
    l->loop = sp_role_loop(role);
    l->log = sp_role_log(role);
    l->clock = sp_loop_clock(l->loop);
    sp_list_init(&l->shards);
    sp_list_init(&l->asked);
    sp_list_init(&l->wish_relays);
    l->jobs = sp_jobs_new(l->loop, l->log);
    sp_jobs_on_faulty(l->jobs, sp_role_peer_faulty, role);
    rc = load_config(l, err);
    if (rc == SP_OK)
        rc = ledger_key_load(l, err);
    if (rc == SP_OK)
        rc = ledger_pseudonym_key(l, err);
    if (rc == SP_OK)
        rc = open_book(l, err);
    if (rc == SP_OK)
        rc = ledger_policy_tell(l, err);
    if (rc == SP_OK)
        rc = ledger_files_tell(l, err);
    if (rc == SP_OK)
        rc = ledger_note_left(l, err);
    if (rc == SP_OK)
        rc = ledger_act_open(l, err);
    if (rc != SP_OK)
        return rc;
    l->worker = sp_worker_new(l->loop, "prove");
    ledger_posture_serve(l);
    ledger_suppress_serve(l);
    ledger_contacts_serve(l);
    ledger_wishes_serve(l);
    ledger_origin_serve(l);
    ledger_command_serve(l);
    ledger_tail_start(l);
    ledger_reports_start(l);
    return SP_OK;
}

static void on_peer(void *state, enum sp_role_kind kind, unsigned index, int fd)
{
    sp_jobs_add_peer(((struct ledger *)state)->jobs, kind, index, fd);
}

static void stop(struct sp_role *role, void *state)
{
    struct ledger *l = state;

    atomic_store(&l->ending, true);
    ledger_reports_free(l);
    ledger_act_close(l);
    ledger_tail_finish(l);
    sp_role_stopped(role);
}

static void free_ledger(void *state)
{
    struct ledger *l = state;

    atomic_store(&l->ending, true);
    ledger_reports_free(l);
    if (l->worker != NULL)
        sp_worker_free(l->worker);
    ledger_asked_leave(l);
    ledger_act_close(l);
    ledger_tail_free(l);
    ledger_wishes_free(l);
    sp_jobs_free(l->jobs);
    sp_audit_book_free(l->book);
    sp_config_free(l->config);
    sp_secret_clear(&l->record_kek);
    sp_secret_clear(&l->address_key);
    sp_secret_clear(&l->signer.secret);
    sp_free(l->node);
    sp_free(l->file);
    sp_free(l);
}

int main(void)
{
    static const struct sp_role_ops ops = {.kind = SP_ROLE_LEDGER,
                                           .start = start,
                                           .on_peer = on_peer,
                                           .stop = stop,
                                           .free = free_ledger};

    return sp_role_main(&ops);
}
