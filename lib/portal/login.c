/*
 * Who may read: whoever holds the link and reads the mailbox. A code belongs to a challenge, and a challenge to one
 * browser by its cookie. So a link scanner that submits forms burns its own challenges and nobody else's, and a stolen
 * code is of no use in another browser. How many codes go out is limited for each package and client, each package,
 * each mailbox and each client; how often a code is tried, for each challenge. With eight digits and at most 20
 * challenges an hour, five tries each, guessing through a package's whole life of 30 days succeeds once in 1,300.
 *
 * An unknown token does the same work as a known one (a challenge row without a package), so neither answer nor time
 * tells them apart.
 */
#include "portal/portal_priv.h"

#define HOUR_MS        (3600LL * 1000)
#define CODES_A_CLIENT 60  /* asked for by one client in an hour, for any package */
#define TRIES_A_CLIENT 120 /* codes entered by one client in an hour */
#define ALL_FACTOR     4   /* a package's codes in all, and a mailbox's */

static void make_code(struct sp_portal *p, char *out)
{
    uint64_t n = sp_random_below(p->o.random, 100000000);

    for (size_t i = PORTAL_CODE_DIGITS; i-- > 0; n /= 10)
        out[i] = (char)('0' + n % 10);
    out[PORTAL_CODE_DIGITS] = '\0';
}

/* A code's hash is good for one challenge only. */
static void hash_code(struct sp_portal *p, const struct sp_portal_hash *challenge,
                      struct sp_bytes code, struct sp_portal_hash *out)
{
    uint8_t both[PORTAL_HASH_LEN + PORTAL_CODE_DIGITS];

    sp_assert(code.len == PORTAL_CODE_DIGITS);
    memcpy(both, challenge->b, PORTAL_HASH_LEN);
    memcpy(both + PORTAL_HASH_LEN, code.ptr, PORTAL_CODE_DIGITS);
    sp_portal_hash(p, "code", sp_bytes(both, sizeof(both)), out);
    sp_wipe(both, sizeof(both));
}

static enum sp_rc insert_challenge(struct sp_portal *p, struct sp_bytes challenge, const char *code,
                                   const char *package)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "INSERT INTO challenges (hash, package, code_hash, expires_ms)"
                                 " VALUES (?1, ?2, ?3, ?4)");
    struct sp_portal_hash hash, code_hash;

    sp_portal_hash(p, "challenge", challenge, &hash);
    hash_code(p, &hash, sp_bytes_cstr(code), &code_hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    if (package == NULL)
        sp_store_bind_null(q, 2);
    else
        sp_store_bind_text(q, 2, sp_bytes_cstr(package));
    sp_store_bind_blob(q, 3, sp_bytes(code_hash.b, sizeof(code_hash.b)));
    sp_store_bind_int(q, 4, sp_clock_wall_ms(p->o.clock) + p->o.code_ms);
    return sp_store_run(q, NULL);
}

static bool may_send(struct sp_portal *p, const struct portal_package *pkg, struct sp_bytes client)
{
    struct sp_buf both;
    bool ok;

    sp_buf_init(&both, 256);
    sp_buf_put_var(&both, sp_bytes_cstr(pkg->id));
    sp_buf_put_var(&both, client);
    ok = sp_portal_limit_take(p, "package-client", sp_buf_bytes(&both), HOUR_MS, p->o.max_codes) &&
         sp_portal_limit_take(p, "package", sp_bytes_cstr(pkg->id), HOUR_MS,
                              p->o.max_codes * ALL_FACTOR) &&
         sp_portal_limit_take(p, "mailbox", sp_bytes_cstr(pkg->recipient), HOUR_MS,
                              p->o.max_codes * ALL_FACTOR);
    sp_buf_clear(&both);
    return ok;
}

enum sp_rc sp_portal_challenge_new(struct sp_portal *p, struct sp_bytes token,
                                   struct sp_bytes client, char *challenge)
{
    struct portal_package pkg;
    char code[PORTAL_CODE_DIGITS + 1];
    bool known, allowed;
    enum sp_rc rc = sp_portal_find_token(p, token, &pkg);

    sp_portal_secret_new(p, challenge);
    if (rc != SP_OK && rc != SP_E_NOT_FOUND)
        return rc;
    known = rc == SP_OK;
    if (known && !sp_portal_is_live(p, &pkg))
        return SP_E_PORTAL_EXPIRED;
    allowed = sp_portal_limit_take(p, "client-codes", client, HOUR_MS, CODES_A_CLIENT);
    if (allowed && known)
        allowed = may_send(p, &pkg, client);
    if (!allowed) {
        sp_log_info(p->o.log, "portal.throttled");
        return SP_OK;
    }
    make_code(p, code); /* wiped below: there is no return between */
    rc = insert_challenge(p, sp_bytes_cstr(challenge), code, known ? pkg.id : NULL);
    if (rc == SP_OK && known)
        sp_portal_mail_code(p, &pkg, code);
    sp_wipe(code, sizeof(code));
    return rc;
}

/* ---- trying ---- */

struct challenge {
    struct sp_portal_hash hash;
    struct sp_portal_hash code_hash;
    char package[SP_PORTAL_PACKAGE_MAX];
    int64_t expires_ms;
    int64_t tries;
};

static enum sp_rc find_challenge(struct sp_portal *p, struct sp_bytes secret, struct challenge *out)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "SELECT code_hash, package, expires_ms, tries FROM challenges WHERE hash = ?1");
    struct sp_bytes blob, package;
    bool row = false;
    enum sp_rc rc;

    *out = (struct challenge){0};
    if (secret.len != PORTAL_SECRET_TEXT - 1)
        secret = SP_LIT("none"); /* no cookie, or one that we never set: the same work, no row */
    sp_portal_hash(p, "challenge", secret, &out->hash);
    sp_store_bind_blob(q, 1, sp_bytes(out->hash.b, sizeof(out->hash.b)));
    rc = sp_store_next(q, &row, NULL);
    if (rc == SP_OK && row) {
        blob = sp_store_blob(q, 0);
        package = sp_store_text(q, 1);
        if (blob.len == PORTAL_HASH_LEN && package.len < SP_PORTAL_PACKAGE_MAX) {
            memcpy(out->code_hash.b, blob.ptr, PORTAL_HASH_LEN);
            if (package.len > 0)
                memcpy(out->package, package.ptr, package.len);
        }
        out->expires_ms = sp_store_int(q, 2);
        out->tries = sp_store_int(q, 3);
    }
    sp_store_done(q);
    if (rc != SP_OK)
        return rc;
    return row ? SP_OK : SP_E_NOT_FOUND;
}

/* Whose package was aimed at, so that the audit can say so; nobody, if that can't be told. */
static void find_target(struct sp_portal *p, struct sp_bytes challenge, struct portal_package *out)
{
    struct challenge c;

    if (find_challenge(p, challenge, &c) != SP_OK || c.package[0] == '\0' ||
        sp_portal_find_id(p, sp_bytes_cstr(c.package), out) != SP_OK)
        out->id[0] = '\0';
}

/* The try is counted, on disk, before the code is looked at. */
static enum sp_rc count_try(struct sp_portal *p, const struct challenge *c)
{
    struct sp_store_query *q =
        sp_store_query(p->store, "UPDATE challenges SET tries = tries + 1 WHERE hash = ?1");

    sp_store_bind_blob(q, 1, sp_bytes(c->hash.b, sizeof(c->hash.b)));
    return sp_store_run(q, NULL);
}

/* The digits that somebody typed, spaces and hyphens apart. returns: false if they are no code */
static bool read_code(struct sp_bytes typed, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < typed.len; i++) {
        uint8_t c = typed.ptr[i];

        if (c == ' ' || c == '-' || c == '\t' || c == '\r' || c == '\n')
            continue;
        if (!sp_ascii_is_digit(c) || n == PORTAL_CODE_DIGITS)
            return false;
        out[n++] = (char)c;
    }
    return n == PORTAL_CODE_DIGITS;
}

static bool is_right(struct sp_portal *p, const struct challenge *c, struct sp_bytes typed)
{
    char code[PORTAL_CODE_DIGITS] = "00000000";
    struct sp_portal_hash hash;
    bool readable = read_code(typed, code);
    bool same;

    hash_code(p, &c->hash, sp_bytes(code, sizeof(code)), &hash);
    same = sp_crypt_equal(sp_bytes(hash.b, sizeof(hash.b)),
                          sp_bytes(c->code_hash.b, sizeof(c->code_hash.b)));
    sp_wipe(code, sizeof(code));
    return readable && same && c->package[0] != '\0' && c->tries < p->o.max_tries &&
           sp_clock_wall_ms(p->o.clock) < c->expires_ms;
}

enum sp_rc sp_portal_challenge_try(struct sp_portal *p, struct sp_bytes challenge,
                                   struct sp_bytes code, struct sp_bytes client,
                                   struct portal_package *out)
{
    struct challenge c;
    bool right;
    enum sp_rc rc;

    out->id[0] = '\0';
    if (!sp_portal_limit_take(p, "client-tries", client, HOUR_MS, TRIES_A_CLIENT)) {
        find_target(p, challenge, out);
        return SP_E_PORTAL_THROTTLED;
    }
    rc = find_challenge(p, challenge, &c);
    if (rc == SP_E_NOT_FOUND)
        return SP_E_PORTAL_CODE;
    if (rc == SP_OK)
        rc = count_try(p, &c);
    if (rc != SP_OK)
        return rc;
    right = is_right(p, &c, code);
    if (c.package[0] != '\0')
        rc = sp_portal_find_id(p, sp_bytes_cstr(c.package), out);
    if (rc == SP_E_NOT_FOUND)
        return SP_E_PORTAL_CODE;
    if (rc != SP_OK)
        return rc;
    if (!right)
        return SP_E_PORTAL_CODE;
    return sp_portal_is_live(p, out) ? SP_OK : SP_E_PORTAL_EXPIRED;
}

/* count: rows that went */
static enum sp_rc delete_by_hash(struct sp_portal *p, const char *sql, const char *what,
                                 struct sp_bytes secret, size_t *count)
{
    struct sp_store_query *q = sp_store_query(p->store, sql);
    struct sp_portal_hash hash;
    enum sp_rc rc;

    sp_portal_hash(p, what, secret, &hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    rc = sp_store_run(q, NULL);
    *count = rc == SP_OK ? sp_store_changes(p->store) : 0;
    if (rc != SP_OK)
        sp_log_warn(p->o.log, "portal.tidy-failed");
    return rc;
}

enum sp_rc sp_portal_challenge_end(struct sp_portal *p, struct sp_bytes challenge)
{
    size_t count;
    enum sp_rc rc =
        delete_by_hash(p, "DELETE FROM challenges WHERE hash = ?1", "challenge", challenge, &count);

    if (rc != SP_OK)
        return rc;
    return count == 1 ? SP_OK : SP_E_PORTAL_CODE;
}

/* ---- sessions ---- */

enum sp_rc sp_portal_session_new(struct sp_portal *p, const struct portal_package *pkg,
                                 char *secret)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "INSERT INTO sessions (hash, package, expires_ms) VALUES (?1, ?2, ?3)");
    struct sp_portal_hash hash;

    sp_portal_secret_new(p, secret);
    sp_portal_hash(p, "session", sp_bytes_cstr(secret), &hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    sp_store_bind_text(q, 2, sp_bytes_cstr(pkg->id));
    sp_store_bind_int(q, 3, sp_clock_wall_ms(p->o.clock) + p->o.session_ms);
    return sp_store_run(q, NULL);
}

enum sp_rc sp_portal_session_find(struct sp_portal *p, struct sp_bytes secret, struct sp_bytes id,
                                  struct portal_package *out)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "SELECT 1 FROM sessions WHERE hash = ?1 AND package = ?2 AND expires_ms > ?3");
    struct sp_portal_hash hash;
    bool row = false;
    enum sp_rc rc;

    if (secret.len != PORTAL_SECRET_TEXT - 1)
        return SP_E_DENIED;
    sp_portal_hash(p, "session", secret, &hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    sp_store_bind_text(q, 2, id);
    sp_store_bind_int(q, 3, sp_clock_wall_ms(p->o.clock));
    rc = sp_store_next(q, &row, NULL);
    sp_store_done(q);
    if (rc != SP_OK)
        return rc;
    if (!row || sp_portal_find_id(p, id, out) != SP_OK)
        return SP_E_DENIED;
    return sp_portal_is_live(p, out) ? SP_OK : SP_E_PORTAL_EXPIRED;
}

enum sp_rc sp_portal_session_show(struct sp_portal *p, struct sp_bytes secret,
                                  enum portal_view view, bool *first)
{
    struct sp_store_query *q = sp_store_query(
        p->store, "UPDATE sessions SET shown = shown | ?2 WHERE hash = ?1 AND shown & ?2 = 0");
    struct sp_portal_hash hash;
    enum sp_rc rc;

    sp_portal_hash(p, "session", secret, &hash);
    sp_store_bind_blob(q, 1, sp_bytes(hash.b, sizeof(hash.b)));
    sp_store_bind_int(q, 2, view);
    rc = sp_store_run(q, NULL);
    *first = rc == SP_OK && sp_store_changes(p->store) == 1;
    return rc;
}

enum sp_rc sp_portal_session_end(struct sp_portal *p, struct sp_bytes secret)
{
    size_t count;

    return delete_by_hash(p, "DELETE FROM sessions WHERE hash = ?1", "session", secret, &count);
}

void sp_portal_login_tidy(struct sp_portal *p)
{
    static const char *const steps[] = {"DELETE FROM challenges WHERE expires_ms < ?1",
                                        "DELETE FROM sessions WHERE expires_ms < ?1"};

    for (size_t i = 0; i < SP_ARRAY_LEN(steps); i++) {
        struct sp_store_query *q = sp_store_query(p->store, steps[i]);

        sp_store_bind_int(q, 1, sp_clock_wall_ms(p->o.clock));
        if (sp_store_run(q, NULL) != SP_OK)
            sp_log_warn(p->o.log, "portal.tidy-failed");
    }
}
