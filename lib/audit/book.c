/*
 * Order of writing: (1) one transaction with cursors, messages, the chain's state and the text of the new lines, (2) the
 * lines to the audit file, synced, (3) the head file. The next transaction replaces the text of (1). After a crash between
 * (1) and (2) the text in the database completes the file, byte by byte the same. Turned down: the file first, the cursor
 * second, as a crash in between would have to take lines back that somebody may have read.
 */
#include "audit/book.h"

#include "audit/book_priv.h"
#include "audit/facts.h"
#include "audit/wishes.h"
#include "base/text.h"

#define TAIL_MAX               ((size_t)64 << 20)
#define TAIL_KEPT              ((size_t)2 << 20) /* of its memory, once it is written */
#define BEHIND_LEN             ((size_t)4 << 20)
#define EVENT_MAX              4096
#define CHECKPOINT_RECORDS_DEF 1000
#define CHECKPOINT_MS_DEF      60000
#define LOG_PAGES              4000   /* 16 MiB: each commit writes the pages of (1) anew */
#define SUPPRESSED_MAX_DEF     100000 /* as many as a relay's list holds */

static const struct sp_store_migration migrations[] = {
    {"the books",
     "CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 1), last_seq INTEGER NOT NULL,"
     "  head BLOB NOT NULL, tree_size INTEGER NOT NULL, tree BLOB NOT NULL,"
     "  file_len INTEGER NOT NULL, checkpoint_seq INTEGER NOT NULL,"
     "  checkpoint_at INTEGER NOT NULL, unsigned_since INTEGER NOT NULL, tail BLOB NOT NULL);"
     "CREATE TABLE cursor (shard TEXT PRIMARY KEY, segment INTEGER NOT NULL,"
     "  offset INTEGER NOT NULL) WITHOUT ROWID;"
     "CREATE TABLE message (id BLOB PRIMARY KEY, settled INTEGER NOT NULL, data BLOB NOT NULL);"
     "CREATE TABLE posture (domain TEXT PRIMARY KEY, best TEXT NOT NULL,"
     "  proved_at INTEGER NOT NULL, accepted_at INTEGER NOT NULL) WITHOUT ROWID;"},
    {"where a posture comes from, and MTA-STS policies",
     "ALTER TABLE posture ADD COLUMN host TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE posture ADD COLUMN evidence TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE posture ADD COLUMN now TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE posture ADD COLUMN now_at INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE posture ADD COLUMN sts TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE posture ADD COLUMN sts_id TEXT NOT NULL DEFAULT '';"
     "ALTER TABLE posture ADD COLUMN sts_fetched_at INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE posture ADD COLUMN sts_until INTEGER NOT NULL DEFAULT 0;"},
    {"sessions for TLS reports",
     "CREATE TABLE tlsrpt (day TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL,"
     "  mx TEXT NOT NULL, ip TEXT NOT NULL, result TEXT NOT NULL, sessions INTEGER NOT NULL,"
     "  PRIMARY KEY (day, domain, policy, mx, ip, result)) WITHOUT ROWID;"},
    {"policy versions, and the facts of decisions",
     "CREATE TABLE policy (seq INTEGER PRIMARY KEY, hash TEXT NOT NULL, at INTEGER NOT NULL,"
     "  canonical BLOB);"
     "CREATE INDEX policy_hash ON policy (hash);"
     "CREATE TABLE facts (id BLOB PRIMARY KEY, at INTEGER NOT NULL, data BLOB NOT NULL)"
     "  WITHOUT ROWID;"
     "CREATE INDEX facts_at ON facts (at);"},
    {"messages by the ids that others gave them",
     "CREATE TABLE origin (hash INTEGER NOT NULL, id BLOB NOT NULL, PRIMARY KEY (hash, id))"
     "  WITHOUT ROWID;"},
    {"TLS reports on their way, and the policies in them",
     "CREATE TABLE report (day TEXT NOT NULL, domain TEXT NOT NULL, uri TEXT NOT NULL,"
     "  state TEXT NOT NULL, tries INTEGER NOT NULL DEFAULT 0, first_at INTEGER NOT NULL,"
     "  next_at INTEGER NOT NULL, key TEXT NOT NULL DEFAULT '', contact TEXT NOT NULL DEFAULT '',"
     "  PRIMARY KEY (day, domain, uri)) WITHOUT ROWID;"
     "CREATE INDEX report_key ON report (key);"
     "CREATE TABLE tlsrpt_text (day TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL,"
     "  text TEXT NOT NULL, PRIMARY KEY (day, domain, policy, text)) WITHOUT ROWID;"},
    {"addresses that are not tried",
     "CREATE TABLE suppression (address TEXT PRIMARY KEY, why TEXT NOT NULL, reply TEXT NOT NULL,"
     "  since INTEGER NOT NULL, until INTEGER NOT NULL) WITHOUT ROWID;"},
    {"what each host of a domain has proved",
     "CREATE TABLE posture_host (domain TEXT NOT NULL, host TEXT NOT NULL, best TEXT NOT NULL,"
     "  proved_at INTEGER NOT NULL, evidence TEXT NOT NULL, now TEXT NOT NULL,"
     "  now_at INTEGER NOT NULL, PRIMARY KEY (domain, host)) WITHOUT ROWID;"},
    {"policies that are tried, and who approved which",
     "CREATE TABLE policy_stage (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL);"
     "CREATE TABLE approval (hash TEXT PRIMARY KEY, proposed_by TEXT NOT NULL,"
     "  proposed_at INTEGER NOT NULL, reason TEXT NOT NULL,"
     "  approved_by TEXT NOT NULL DEFAULT '', approved_at INTEGER NOT NULL DEFAULT 0)"
     "  WITHOUT ROWID;"},
    {"whom tenants write to",
     "CREATE TABLE contact (hash INTEGER PRIMARY KEY, day INTEGER NOT NULL);"
     "CREATE INDEX contact_day ON contact (day);"
     "CREATE TABLE contact_since (id INTEGER PRIMARY KEY CHECK (id = 1), at INTEGER NOT NULL);"},
    {"files that say who may send",
     "CREATE TABLE file (name TEXT PRIMARY KEY, sha256 BLOB NOT NULL) WITHOUT ROWID;"},
    {"what recipients have chosen in the portal",
     "CREATE TABLE wish (tenant TEXT NOT NULL, address TEXT NOT NULL, preference INTEGER NOT NULL,"
     "  given INTEGER NOT NULL, until INTEGER NOT NULL, PRIMARY KEY (tenant, address))"
     "  WITHOUT ROWID;"},
    {"whose pseudonyms stand in the lines",
     "CREATE TABLE pseudonym (name TEXT PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID;"},
    {"audit files that have ended",
     "CREATE TABLE audit_file (first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL,"
     "  base INTEGER NOT NULL, len INTEGER NOT NULL, head BLOB NOT NULL, ended_at INTEGER NOT NULL,"
     "  removed_at INTEGER NOT NULL DEFAULT 0, gone_at INTEGER NOT NULL DEFAULT 0);"
     "CREATE INDEX audit_file_base ON audit_file (base);"
     "ALTER TABLE state ADD COLUMN base INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE state ADD COLUMN file_first INTEGER NOT NULL DEFAULT 1;"
     "ALTER TABLE state ADD COLUMN file_at INTEGER NOT NULL DEFAULT 0;"},
};

static void read_state(struct sp_audit_book *b, const struct sp_store_query *q, uint64_t *file_len)
{
    struct sp_bytes head = sp_store_blob(q, 1);
    struct sp_bytes tree = sp_store_blob(q, 3);
    size_t count = tree.len / SP_SHA256_LEN;

    b->state.last_seq = (uint64_t)sp_store_int(q, 0);
    if (head.len == SP_SHA256_LEN)
        memcpy(b->state.head.b, head.ptr, head.len);
    b->state.tree.size = (uint64_t)sp_store_int(q, 2);
    for (size_t i = 0; i < count && i < SP_MERKLE_DEPTH_MAX; i++)
        memcpy(b->state.tree.node[i].b, tree.ptr + i * SP_SHA256_LEN, SP_SHA256_LEN);
    *file_len = (uint64_t)sp_store_int(q, 4);
    b->checkpoint_seq = (uint64_t)sp_store_int(q, 5);
    b->checkpoint_at_ms = sp_store_int(q, 6);
    b->unsigned_since_ms = sp_store_int(q, 7);
    if (b->unsigned_since_ms > sp_clock_steady_ms(b->clock)) /* set back since */
        b->unsigned_since_ms = sp_clock_steady_ms(b->clock);
    sp_buf_put(&b->tail, sp_store_blob(q, 8));
    b->tail_committed = b->tail.len;
    b->base = (uint64_t)sp_store_int(q, 9);
    b->file_first = (uint64_t)sp_store_int(q, 10);
    if (sp_store_int(q, 11) > 0)
        b->file_at_ms = sp_store_int(q, 11);
}

static enum sp_rc load_state(struct sp_audit_book *b, uint64_t *file_len, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "SELECT last_seq, head, tree_size, tree, file_len, checkpoint_seq, checkpoint_at,"
                  " unsigned_since, tail, base, file_first, file_at FROM state WHERE id = 1");
    enum sp_rc rc;
    bool row;

    *file_len = 0;
    b->file_first = 1;
    b->file_at_ms = sp_clock_wall_ms(b->clock);
    sp_audit_state_init(&b->state);
    rc = sp_store_next(q, &row, err);
    if (rc == SP_OK && row)
        read_state(b, q, file_len);
    sp_store_done(q);
    b->known_mono_ms = sp_clock_mono_ms(b->clock);
    b->known_wall_ms = b->checkpoint_at_ms > 0 ? b->checkpoint_at_ms : sp_clock_wall_ms(b->clock);
    return rc;
}

static enum sp_rc store_state(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_store_query *q = sp_store_query(
        b->store, "INSERT OR REPLACE INTO state VALUES (1, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9,"
                  " ?10, ?11, ?12)");
    struct sp_buf tree;
    enum sp_rc rc;

    sp_buf_init(&tree, sizeof(b->state.tree.node));
    for (size_t i = 0; i < SP_MERKLE_DEPTH_MAX && b->state.tree.size >> i != 0; i++)
        sp_buf_put(&tree, sp_bytes(b->state.tree.node[i].b, SP_SHA256_LEN));
    sp_store_bind_int(q, 1, (int64_t)b->state.last_seq);
    sp_store_bind_blob(q, 2, sp_bytes(b->state.head.b, SP_SHA256_LEN));
    sp_store_bind_int(q, 3, (int64_t)b->state.tree.size);
    sp_store_bind_blob(q, 4, sp_buf_bytes(&tree));
    sp_store_bind_int(q, 5, (int64_t)(sp_audit_book_end(b) - b->base + b->tail.len));
    sp_store_bind_int(q, 6, (int64_t)b->checkpoint_seq);
    sp_store_bind_int(q, 7, b->checkpoint_at_ms);
    sp_store_bind_int(q, 8, b->unsigned_since_ms);
    sp_store_bind_blob(q, 9, sp_buf_bytes(&b->tail));
    sp_store_bind_int(q, 10, (int64_t)b->base);
    sp_store_bind_int(q, 11, (int64_t)b->file_first);
    sp_store_bind_int(q, 12, b->file_at_ms);
    rc = sp_store_run(q, err);
    sp_buf_clear(&tree);
    return rc;
}

static void say_mend(struct sp_audit_book *b, const struct sp_audit_mend *mend)
{
    if (mend->cut > 0)
        sp_log_info(b->log, "audit.torn-end-mended", SP_INT("bytes", mend->cut));
    if (mend->missing > 0)
        sp_log_error(b->log, "audit.file-short", SP_INT("bytes", mend->missing));
    if (mend->foreign > 0)
        sp_log_error(b->log, "audit.file-foreign", SP_INT("bytes", mend->foreign));
}

static void set_config(struct sp_json_doc *doc, const struct sp_audit_book_options *options)
{
    struct sp_buf hex;

    if (options->config == NULL)
        return;
    sp_buf_init(&hex, (size_t)2 * SP_SHA256_LEN);
    sp_digest_format(options->config, &hex);
    sp_json_set_text(doc, sp_json_root(doc), "config", sp_buf_bytes(&hex));
    sp_json_set_int(doc, sp_json_root(doc), "generation", (int64_t)options->generation);
    sp_buf_clear(&hex);
}

static enum sp_rc say_started(struct sp_audit_book *b, const struct sp_audit_book_options *options,
                              const struct sp_audit_mend *mend, struct sp_err *err)
{
    SP_AUTO(sp_json_doc) doc = sp_json_doc_new();
    const struct sp_json *root = sp_json_root(doc);
    struct sp_audit_context c = {.time_ms = sp_clock_wall_ms(b->clock)};
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    sp_json_set_text(doc, root, "event", SP_LIT("audit.started"));
    sp_json_set_text(doc, root, "version", SP_LIT(SP_VERSION));
    sp_audit_public_set(doc, root, "key", &b->signer.key);
    set_config(doc, options);
    rc = sp_json_canonical(root, &text);
    if (rc == SP_OK)
        rc = sp_audit_book_tell(b, &c, sp_buf_bytes(&text), NULL, err);
    sp_buf_clear(&text);
    if (rc == SP_OK && mend->missing > 0)
        rc = sp_audit_book_gap(b, &c, "file-short", NULL, (int64_t)mend->missing, err);
    if (rc == SP_OK && mend->foreign > 0)
        rc = sp_audit_book_gap(b, &c, "file-foreign", NULL, (int64_t)mend->foreign, err);
    return rc;
}

/* The folder of the audit file, if no table came with the options. */
static enum sp_rc open_folder(struct sp_audit_book *b, const char *path, struct sp_err *err)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    char *folder =
        len == 0 ? sp_strdup(slash == NULL ? "." : "/") : sp_strdup_bytes(sp_bytes(path, len));
    enum sp_rc rc = sp_journal_io_posix(folder, &b->own_io, err);

    sp_free(folder);
    return rc;
}

static enum sp_rc open_file(struct sp_audit_book *b, const struct sp_audit_book_options *options,
                            uint64_t file_len, struct sp_err *err)
{
    const char *slash = strrchr(options->file, '/');
    const struct sp_journal_io *io = options->io;
    struct sp_audit_mend mend;
    struct sp_buf key;
    enum sp_rc rc = SP_OK;

    if (io == NULL) {
        rc = open_folder(b, options->file, err);
        io = &b->own_io;
    }
    b->io = io;
    if (rc == SP_OK)
        rc = sp_audit_rotate_recover(b, io, slash == NULL ? options->file : slash + 1, err);
    if (rc == SP_OK) {
        struct sp_audit_trail_file file = {.io = io,
                                           .name = slash == NULL ? options->file : slash + 1,
                                           .len = file_len,
                                           .tail = sp_buf_bytes(&b->tail)};

        rc = sp_audit_trail_open(&file, &b->trail, &mend, err);
    }
    if (rc != SP_OK)
        return rc;
    sp_buf_reset(&b->tail);
    b->tail_committed = 0;
    say_mend(b, &mend);
    sp_buf_init(&key, EVENT_MAX);
    sp_audit_public_format(&b->signer.key, &key);
    rc = sp_audit_trail_put_beside(b->trail, ".pub", sp_buf_bytes(&key), err);
    sp_buf_clear(&key);
    if (rc == SP_OK)
        rc = say_started(b, options, &mend, err);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

enum sp_rc sp_audit_book_open(const struct sp_audit_book_options *options,
                              struct sp_audit_book **out, struct sp_err *err)
{
    struct sp_store_options store = {.migrations = migrations,
                                     .migration_count = SP_ARRAY_LEN(migrations),
                                     .log_pages = LOG_PAGES};
    SP_AUTO(sp_audit_book) b = sp_calloc(1, sizeof(*b));
    uint64_t file_len;
    enum sp_rc rc;

    b->signer = *options->signer;
    b->organization =
        sp_strdup(options->organization == NULL ? b->signer.node : options->organization);
    b->clock = options->clock;
    b->log = options->log;
    b->checkpoint_records =
        options->checkpoint_records == 0 ? CHECKPOINT_RECORDS_DEF : options->checkpoint_records;
    b->checkpoint_ms = options->checkpoint_ms == 0 ? CHECKPOINT_MS_DEF : options->checkpoint_ms;
    b->path = sp_strdup(options->file);
    b->rotate_len = options->rotate_len;
    b->rotate_every_ms = options->rotate_every_ms;
    b->keep_ms = options->keep_ms;
    b->messages = sp_map_new();
    b->cursors = sp_map_new();
    b->domains = sp_map_new();
    b->addresses = sp_map_new();
    b->wishes_max = options->wishes_max == 0 ? SP_AUDIT_WISHES_MAX : options->wishes_max;
    b->addresses_max = options->suppressed_max == 0 ? SUPPRESSED_MAX_DEF : options->suppressed_max;
    sp_list_init(&b->told_wishes);
    sp_list_init(&b->changed_addresses);
    sp_list_init(&b->dirty_addresses);
    sp_list_init(&b->changed_domains);
    sp_list_init(&b->dirty_domains);
    sp_buf_init(&b->tail, TAIL_MAX);
    b->facts = options->facts == NULL ? NULL : sp_aead_new(options->facts);
    b->hides = options->addresses != NULL;
    if (b->hides)
        b->pseudonym_key = *options->addresses;
    rc = sp_store_open(options->database, &store, &b->store, err);
    if (rc == SP_OK)
        rc = load_state(b, &file_len, err);
    if (rc == SP_OK)
        rc = sp_audit_posture_load(b, err);
    if (rc == SP_OK)
        rc = sp_audit_suppress_load(b, err);
    if (rc == SP_OK)
        rc = sp_audit_origin_load(b, err);
    if (rc == SP_OK)
        rc = sp_audit_contact_load(b, options, err);
    if (rc == SP_OK)
        rc = sp_audit_wish_load(b, err);
    if (rc == SP_OK)
        rc = open_file(b, options, file_len, err);
    if (rc != SP_OK)
        return rc;
    *out = SP_STEAL(b);
    return SP_OK;
}

static void forget_messages(struct sp_audit_book *b)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(b->messages, &at, &key, &value)) {
        sp_map_remove(b->messages, key);
        sp_audit_message_free(value);
    }
}

static void forget_cursors(struct sp_audit_book *b)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;

    while (sp_map_next(b->cursors, &at, &key, &value)) {
        sp_map_remove(b->cursors, key);
        sp_free(value);
    }
}

void sp_audit_book_free(struct sp_audit_book *b)
{
    if (b == NULL)
        return;
    forget_messages(b);
    sp_map_free(b->messages);
    forget_cursors(b);
    sp_map_free(b->cursors);
    sp_audit_message_free(b->asked);
    sp_audit_posture_free(b);
    sp_map_free(b->domains);
    sp_audit_suppress_free(b);
    sp_audit_contact_free(b);
    sp_audit_wish_free(b);
    sp_map_free(b->addresses);
    sp_audit_trail_free(b->trail);
    if (b->own_io.ctx != NULL)
        sp_journal_io_posix_free(&b->own_io);
    sp_store_free(b->store);
    sp_aead_free(b->facts);
    sp_buf_clear(&b->tail);
    sp_secret_clear(&b->signer.secret);
    sp_secret_clear(&b->pseudonym_key);
    sp_free(b->organization);
    sp_free(b->path);
    sp_free(b);
}

bool sp_audit_book_is_broken(const struct sp_audit_book *b)
{
    return b->broken;
}

enum sp_rc sp_audit_book_note(struct sp_audit_book *b, enum sp_rc rc)
{
    b->broken = b->broken || rc == SP_E_STORE_FAILED;
    return rc;
}

enum sp_rc sp_audit_book_begin(struct sp_audit_book *b, struct sp_err *err)
{
    enum sp_rc rc;

    if (b->broken)
        return sp_fail(err, SP_E_STORE_FAILED, "the audit's database has failed before");
    if (b->in_transaction)
        return SP_OK;
    rc = sp_audit_book_note(b, sp_store_begin(b->store, err));
    b->in_transaction = rc == SP_OK;
    b->dirty = b->dirty || rc == SP_OK;
    return rc;
}

static enum sp_rc store_messages(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_bytes key;
    struct sp_buf data;
    void *value;
    size_t at = 0;
    enum sp_rc rc = SP_OK;

    sp_buf_init(&data, SP_AUDIT_MESSAGE_BYTES_MAX);
    while (rc == SP_OK && sp_map_next(b->messages, &at, &key, &value)) {
        struct sp_store_query *q =
            sp_store_query(b->store, "INSERT OR REPLACE INTO message VALUES (?1, ?2, ?3)");
        const struct sp_audit_message *m = value;

        sp_buf_reset(&data);
        sp_audit_message_encode(m, &data);
        rc = sp_buf_rc(&data);
        sp_store_bind_blob(q, 1, key);
        sp_store_bind_int(q, 2, m->settled_seq != 0);
        sp_store_bind_blob(q, 3, sp_buf_bytes(&data));
        if (rc == SP_OK)
            rc = sp_store_run(q, err);
    }
    sp_buf_clear(&data);
    return rc;
}

/* How far each shard is told: once a commit, since only the last place counts. */
static enum sp_rc store_cursors(struct sp_audit_book *b, struct sp_err *err)
{
    struct sp_bytes key;
    void *value;
    size_t at = 0;
    enum sp_rc rc = SP_OK;

    while (rc == SP_OK && sp_map_next(b->cursors, &at, &key, &value)) {
        struct sp_store_query *q =
            sp_store_query(b->store, "INSERT OR REPLACE INTO cursor VALUES (?1, ?2, ?3)");
        const struct sp_journal_cursor *c = value;

        sp_store_bind_text(q, 1, key);
        sp_store_bind_int(q, 2, (int64_t)c->segment);
        sp_store_bind_int(q, 3, (int64_t)c->offset);
        rc = sp_store_run(q, err);
    }
    return rc;
}

static void write_head(struct sp_audit_book *b)
{
    struct sp_buf text;
    enum sp_rc rc;

    sp_buf_init(&text, EVENT_MAX);
    rc = sp_audit_head_make(&b->state, &b->signer, sp_clock_wall_ms(b->clock), &text);
    if (rc == SP_OK)
        rc = sp_audit_trail_put_beside(b->trail, ".head", sp_buf_bytes(&text), NULL);
    if (rc != SP_OK)
        sp_log_warn(b->log, "audit.head-failed", SP_RC("why", rc));
    sp_buf_clear(&text);
}

/* What waits goes to the file; if that fails it waits on, and stays in the database. */
static void write_file(struct sp_audit_book *b)
{
    enum sp_rc rc = SP_OK;

    if (b->tail.len == 0)
        return;
    if (b->rotating)
        rc = sp_audit_rotate_finish(b);
    if (rc == SP_OK)
        rc = sp_audit_trail_append(b->trail, sp_buf_bytes(&b->tail), NULL);
    if (rc != SP_OK) {
        sp_log_error(b->log, "audit.file-failed", SP_RC("why", rc), SP_INT("waiting", b->tail.len));
        return;
    }
    if (b->tail.cap > TAIL_KEPT)
        sp_buf_clear(&b->tail);
    else
        sp_buf_reset(&b->tail);
    b->tail_committed = 0;
    write_head(b);
}

enum sp_rc sp_audit_book_commit(struct sp_audit_book *b, struct sp_err *err)
{
    enum sp_rc rc = SP_OK;

    if (b->dirty) {
        rc = sp_audit_book_begin(b, err);
        if (rc == SP_OK)
            rc = store_messages(b, err);
        if (rc == SP_OK)
            rc = store_cursors(b, err);
        if (rc == SP_OK)
            rc = sp_audit_posture_store(b, err);
        if (rc == SP_OK)
            rc = sp_audit_suppress_store(b, err);
        if (rc == SP_OK)
            rc = store_state(b, err);
        if (rc == SP_OK)
            rc = sp_store_commit(b->store, err);
        if (rc != SP_OK)
            return sp_audit_book_note(b, rc);
        b->in_transaction = false;
        b->dirty = false;
        b->tail_committed = b->tail.len;
        forget_messages(b);
        forget_cursors(b);
    }
    write_file(b);
    return SP_OK;
}

bool sp_audit_book_has_work(const struct sp_audit_book *b)
{
    return b->dirty || b->tail.len > 0;
}

bool sp_audit_book_is_behind(const struct sp_audit_book *b)
{
    return b->tail_committed > BEHIND_LEN;
}

static uint64_t unsigned_lines(const struct sp_audit_book *b)
{
    return b->state.last_seq - b->checkpoint_seq;
}

int64_t sp_audit_book_checkpoint_at(const struct sp_audit_book *b)
{
    if (unsigned_lines(b) == 0 || b->unsigned_since_ms == 0)
        return INT64_MAX;
    return b->unsigned_since_ms + b->checkpoint_ms;
}

bool sp_audit_book_checkpoint_is_due(const struct sp_audit_book *b)
{
    return unsigned_lines(b) >= b->checkpoint_records ||
           sp_audit_book_checkpoint_at(b) <= sp_clock_steady_ms(b->clock);
}

enum sp_rc sp_audit_book_checkpoint(struct sp_audit_book *b, struct sp_err *err)
{
    /* the kernel's word on the clock is not asked: a checkpoint says what is known, which is nothing */
    struct sp_audit_clock clock = {.synced = false};
    int64_t now = sp_clock_wall_ms(b->clock);
    struct sp_buf line;
    enum sp_rc rc = sp_audit_book_begin(b, err);

    if (rc == SP_OK)
        rc = sp_audit_book_note(b, sp_audit_facts_forget(b, err));
    if (rc != SP_OK)
        return rc;
    sp_buf_init(&line, SP_AUDIT_LINE_MAX);
    rc = sp_audit_checkpoint_make(&b->state, &b->signer, &clock, now, &line, err);
    if (rc == SP_OK) {
        sp_audit_state_add(&b->state, sp_buf_bytes(&line));
        sp_buf_put(&b->tail, sp_buf_bytes(&line));
        sp_buf_put_u8(&b->tail, '\n');
        b->checkpoint_seq = b->state.last_seq;
        b->checkpoint_at_ms = now;
        b->unsigned_since_ms = 0;
        rc = sp_buf_rc(&b->tail);
    }
    sp_buf_clear(&line);
    return rc == SP_OK ? sp_audit_book_commit(b, err) : rc;
}

enum sp_rc sp_audit_book_stop(struct sp_audit_book *b, struct sp_err *err)
{
    enum sp_rc rc = sp_audit_book_say(b, SP_LIT("{\"event\":\"audit.stopped\"}"), err);

    return rc == SP_OK ? sp_audit_book_checkpoint(b, err) : rc;
}

struct sp_audit_book_status sp_audit_book_status(const struct sp_audit_book *b)
{
    return (struct sp_audit_book_status){
        .last_seq = b->state.last_seq,
        .head = b->state.head,
        .checkpoint_seq = b->checkpoint_seq,
        .checkpoint_ms = b->checkpoint_at_ms,
        .unsigned_lines = unsigned_lines(b),
        .file_len = sp_audit_trail_len(b->trail),
        .waiting_len = b->tail.len,
    };
}
