/*
 * What a server shows to whom: certificates by name and by the client's signature algorithms, staples that it has looked at,
 * tickets under keys that are rotated, and no suite but the approved ones. The client is bare OpenSSL, so that it can ask for
 * what ours never would.
 */
#include "support/check_main.h"
#include "tls/tls.h"

#include "pki.h"

#include <fcntl.h>
#include <openssl/ocsp.h>
#include <openssl/ssl.h>
#include <unistd.h>

#define DAY_S 86400

enum { MX, MX_RSA, OTHER, STAR, WEAK, LEAVES };

static struct pki_cert ca, other_ca, leaves[LEAVES];
static struct sp_loop *loop;
static int dones;
static enum sp_rc done_rc;
static char told[300];

static void on_input(void *arg)
{
    struct sp_stream *stream = *(struct sp_stream **)arg;

    sp_stream_consume(stream, sp_stream_input(stream).len);
}

static void on_closed(void *arg, enum sp_rc why)
{
    (void)arg;
    (void)why;
}

static const struct sp_stream_events events = {.on_input = on_input, .on_closed = on_closed};

static void done(void *arg, enum sp_rc rc, const struct sp_tls_proof *proof)
{
    (void)arg;
    (void)proof;
    dones++;
    done_rc = rc;
}

static struct sp_tls_identity identity_of(int leaf)
{
    return (struct sp_tls_identity){.certificate_pem = sp_bytes_cstr(leaves[leaf].certificate_pem),
                                    .key_pem = sp_bytes_cstr(leaves[leaf].key_pem)};
}

/* ---- a client ---- */

struct ask {
    const char *name; /* SNI; NULL: none */
    const char *sigalgs;
    const char *suites; /* of 1.2 */
    const char *groups;
    int version; /* 0: any */
    bool staple;
    SSL_SESSION *session;
};

struct answer {
    bool ok;
    int leaf; /* which was shown; -1: another */
    bool stapled, resumed;
    int version;
    const char *suite;
    SSL_SESSION *session; /* for SSL_SESSION_free */
};

static SSL_SESSION *ticket;

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    SSL_SESSION_free(ticket);
    ticket = session;
    return 1;
}

static SSL *client_new(SSL_CTX *ctx, const struct ask *ask, int fd)
{
    SSL *ssl;

    SSL_CTX_set_security_level(ctx, 0);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(ctx, on_session);
    if (ask->suites != NULL)
        ck_assert_int_eq(SSL_CTX_set_cipher_list(ctx, ask->suites), 1);
    if (ask->sigalgs != NULL)
        ck_assert_int_eq(SSL_CTX_set1_sigalgs_list(ctx, ask->sigalgs), 1);
    if (ask->groups != NULL)
        ck_assert_int_eq(SSL_CTX_set1_groups_list(ctx, ask->groups), 1);
    ssl = SSL_new(ctx);
    SSL_set_fd(ssl, fd);
    SSL_set_connect_state(ssl);
    if (ask->name != NULL)
        ck_assert_int_eq(SSL_set_tlsext_host_name(ssl, ask->name), 1);
    if (ask->version != 0) {
        SSL_set_min_proto_version(ssl, ask->version);
        SSL_set_max_proto_version(ssl, ask->version);
    }
    if (ask->staple)
        SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
    if (ask->session != NULL)
        ck_assert_int_eq(SSL_set_session(ssl, ask->session), 1);
    return ssl;
}

static void look(SSL *ssl, struct answer *out)
{
    X509 *shown = SSL_get0_peer_certificate(ssl);
    const unsigned char *der;

    out->leaf = -1;
    for (int i = 0; i < LEAVES; i++) {
        if (shown != NULL && X509_cmp(shown, leaves[i].x) == 0)
            out->leaf = i;
    }
    out->stapled = SSL_get_tlsext_status_ocsp_resp(ssl, &der) > 0;
    out->resumed = SSL_session_reused(ssl) == 1;
    out->version = SSL_version(ssl);
    out->suite = SSL_get_cipher_name(ssl);
}

static struct answer shake(struct sp_tls_context *context, const struct ask *ask)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct answer answer = {.ok = false};
    struct sp_stream *stream;
    int fds[2], result = 0;
    char byte;
    SSL *ssl;

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    ssl = client_new(ctx, ask, fds[0]);
    loop = sp_loop_new();
    stream = sp_stream_new(loop, fds[1], &events, &stream);
    dones = 0;
    sp_tls_start(stream, context, NULL, done, NULL);
    for (int i = 0; i < 3000 && (dones == 0 || result == 0); i++) {
        sp_loop_run_once(loop, 1);
        if (result == 0) {
            int now = SSL_do_handshake(ssl), error = SSL_get_error(ssl, now);

            result = now == 1 ? 1 : error == SSL_ERROR_WANT_READ ? 0 : -1;
            if (result < 0)
                ck_assert_int_eq(shutdown(fds[0], SHUT_RDWR), 0);
        }
    }
    ck_assert_int_eq(dones, 1);
    answer.ok = result == 1 && done_rc == SP_OK;
    if (answer.ok)
        look(ssl, &answer);
    for (int i = 0; i < 20 && answer.ok && ticket == NULL; i++) { /* the ticket comes behind */
        sp_loop_run_once(loop, 1);
        (void)SSL_read(ssl, &byte, 1);
    }
    answer.session = ticket;
    ticket = NULL;
    if (answer.ok && answer.resumed && answer.version == TLS1_2_VERSION)
        answer.session = SSL_get1_session(ssl); /* the callback is for full handshakes alone */
    if (answer.ok)
        SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
    close(fds[0]);
    sp_stream_free(stream);
    sp_loop_run_once(loop, 1);
    sp_loop_free(loop);
    SSL_CTX_free(ctx);
    return answer;
}

static struct answer ask_once(struct sp_tls_context *context, const struct ask *ask)
{
    struct answer answer = shake(context, ask);

    SSL_SESSION_free(answer.session);
    answer.session = NULL;
    return answer;
}

/* ---- certificates ---- */

#define ONLY_RSA   "rsa_pss_rsae_sha256:RSA+SHA256"
#define ONLY_ECDSA "ECDSA+SHA256"

START_TEST(the_name_and_the_algorithms_choose_the_certificate)
{
    static const struct {
        const char *what;
        struct ask ask;
        int leaf;
    } rows[] = {
        {"no name", {.name = NULL}, MX},
        {"no name, RSA alone", {.sigalgs = ONLY_RSA}, MX_RSA},
        {"the first's name", {.name = "mx.example"}, MX},
        {"in capitals", {.name = "OTHER.Example"}, OTHER},
        {"the first's name, RSA alone", {.name = "mx.example", .sigalgs = ONLY_RSA}, MX_RSA},
        {"another's", {.name = "other.example"}, OTHER},
        {"another's with its dot", {.name = "other.example."}, OTHER},
        {"a star's", {.name = "any.star.example"}, STAR},
        {"not below a star's", {.name = "a.b.star.example"}, MX},
        {"not the star's own domain", {.name = "star.example"}, MX},
        {"nobody's", {.name = "nobody.example"}, MX},
        {"a beginning of a name", {.name = "other.exampl"}, MX},
        {"1.2", {.name = "other.example", .version = TLS1_2_VERSION}, OTHER},
        {"1.2, RSA alone",
         {.name = "mx.example", .version = TLS1_2_VERSION, .suites = "ECDHE-RSA-AES128-GCM-SHA256"},
         MX_RSA},
        {"1.2, ECDSA alone",
         {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES256-GCM-SHA384"},
         MX},
    };
    const struct sp_tls_identity more[] = {identity_of(OTHER), identity_of(MX_RSA),
                                           identity_of(STAR)};
    const struct sp_tls_server_config config = {
        .identity = identity_of(MX), .more = more, .more_count = SP_ARRAY_LEN(more)};
    struct sp_err err = {0};
    struct sp_tls_context *context = sp_tls_server_new(&config, &err);

    ck_assert_msg(context != NULL, "%s", err.text);
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct answer a = ask_once(context, &rows[i].ask);

        ck_assert_msg(a.ok, "%s: no handshake", rows[i].what);
        ck_assert_msg(a.leaf == rows[i].leaf, "%s: %d shown, not %d", rows[i].what, a.leaf,
                      rows[i].leaf);
    }
    sp_tls_context_unref(context);
}
END_TEST

START_TEST(a_bad_certificate_among_many_is_named)
{
    struct sp_tls_identity more[] = {identity_of(OTHER), identity_of(STAR)};
    const struct sp_tls_server_config config = {
        .identity = identity_of(MX), .more = more, .more_count = 2};
    struct sp_err err = {0};

    more[1].key_pem = more[0].key_pem;
    ck_assert_ptr_null(sp_tls_server_new(&config, &err));
    ck_assert_int_eq(err.rc, SP_E_TLS_CONFIG);
    ck_assert_ptr_nonnull(strstr(err.text, "certificate 2 of tls.certificates"));
    more[1] = identity_of(WEAK);
    ck_assert_ptr_null(sp_tls_server_new(&config, &err));
    ck_assert_ptr_nonnull(strstr(err.text, "too weak"));
}
END_TEST

/* ---- suites ---- */

START_TEST(only_approved_suites_and_versions)
{
    static const struct {
        const char *what;
        struct ask ask;
        bool ok;
    } rows[] = {
        {"1.3", {.version = TLS1_3_VERSION}, true},
        {"1.2", {.version = TLS1_2_VERSION}, true},
        {"1.1", {.version = TLS1_1_VERSION}, false},
        {"1.0", {.version = TLS1_VERSION}, false},
        {"no forward secrecy", {.version = TLS1_2_VERSION, .suites = "AES256-GCM-SHA384"}, false},
        {"CBC", {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES256-SHA384"}, false},
        {"SHA-1", {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-AES256-SHA"}, false},
        {"ChaCha20", {.version = TLS1_2_VERSION, .suites = "ECDHE-ECDSA-CHACHA20-POLY1305"}, false},
        {"finite fields",
         {.version = TLS1_2_VERSION, .suites = "DHE-RSA-AES256-GCM-SHA384"},
         false},
        {"no key of ours", {.version = TLS1_2_VERSION, .suites = "aNULL"}, false},
        {"P-256", {.groups = "P-256"}, true},
        {"X25519", {.groups = "X25519"}, true},
        {"P-384", {.groups = "P-384"}, true},
        {"X448", {.groups = "X448"}, false},
        {"SHA-1 signatures", {.version = TLS1_2_VERSION, .sigalgs = "ECDSA+SHA1:RSA+SHA1"}, false},
    };
    const struct sp_tls_identity more[] = {identity_of(MX_RSA)};
    const struct sp_tls_server_config config = {
        .identity = identity_of(MX), .more = more, .more_count = 1};
    struct sp_tls_context *context = sp_tls_server_new(&config, NULL);

    ck_assert_ptr_nonnull(context);
    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct answer a = ask_once(context, &rows[i].ask);

        ck_assert_msg(a.ok == rows[i].ok, "%s: %s", rows[i].what, a.ok ? "taken" : "refused");
    }
    sp_tls_context_unref(context);
}
END_TEST

/* Where this OpenSSL has the hybrid, a client that has it too gets it; elsewhere nothing fails for it. */
START_TEST(post_quantum_where_openssl_has_it)
{
    const struct sp_tls_server_config config = {.identity = identity_of(MX)};
    struct sp_tls_context *context = sp_tls_server_new(&config, NULL);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    bool has = SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768") == 1;
    struct ask ask = {.groups = has ? "X25519MLKEM768" : "X25519"};

    SSL_CTX_free(ctx);
    ck_assert(ask_once(context, &ask).ok);
    sp_tls_context_unref(context);
}
END_TEST

/* ---- staples ---- */

enum staple {
    GOOD,
    REVOKED,
    UNKNOWN,
    OLD,
    TOO_EARLY,
    OF_ANOTHER,
    BY_ANOTHER,
    ENDLESS,
    ERROR,
    NONSENSE
};

static struct sp_bytes make_staple(enum staple kind, unsigned char **der)
{
    const struct pki_cert *signer = kind == BY_ANOTHER ? &other_ca : &ca;
    const struct pki_cert *about = &leaves[kind == OF_ANOTHER ? OTHER : MX];
    int status = kind == REVOKED   ? V_OCSP_CERTSTATUS_REVOKED
                 : kind == UNKNOWN ? V_OCSP_CERTSTATUS_UNKNOWN
                                   : V_OCSP_CERTSTATUS_GOOD;
    OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
    OCSP_CERTID *id = OCSP_cert_to_id(kind == OLD ? EVP_sha256() : NULL, about->x, ca.x);
    ASN1_TIME *from = X509_gmtime_adj(NULL, kind == TOO_EARLY ? DAY_S : -2 * DAY_S);
    ASN1_TIME *to = X509_gmtime_adj(NULL, kind == OLD ? -DAY_S : 2 * DAY_S);
    OCSP_RESPONSE *response;
    int len;

    OCSP_basic_add1_status(basic, id, status, 0, kind == REVOKED ? from : NULL, from,
                           kind == ENDLESS ? NULL : to);
    ck_assert_int_eq(OCSP_basic_sign(basic, signer->x, signer->key, EVP_sha256(), NULL, 0), 1);
    response = OCSP_response_create(kind == ERROR ? OCSP_RESPONSE_STATUS_TRYLATER
                                                  : OCSP_RESPONSE_STATUS_SUCCESSFUL,
                                    kind == ERROR ? NULL : basic);
    *der = NULL;
    len = i2d_OCSP_RESPONSE(response, der);
    OCSP_RESPONSE_free(response);
    OCSP_BASICRESP_free(basic);
    OCSP_CERTID_free(id);
    ASN1_TIME_free(from);
    ASN1_TIME_free(to);
    return kind == NONSENSE ? SP_LIT("no response") : sp_bytes(*der, (size_t)len);
}

static void unstapled(void *arg, size_t identity, const char *why)
{
    (void)arg;
    snprintf(told, sizeof(told), "%zu: %s", identity, why);
}

START_TEST(a_staple_is_shown_if_a_client_would_believe_it)
{
    static const struct {
        enum staple kind;
        bool shown;
        const char *told; /* at once; "" for nothing */
    } rows[] = {
        {GOOD, true, ""},
        {OLD, false, ""},
        {TOO_EARLY, false, ""},
        {REVOKED, false, "0: the certificate is revoked"},
        {UNKNOWN, false, "0: the authority does not know the certificate"},
        {OF_ANOTHER, false, "0: it is about another certificate"},
        {BY_ANOTHER, false, "0: the certificate's authority has not signed it"},
        {ENDLESS, false, "0: it does not say how long it holds"},
        {ERROR, false, "0: the responder has answered with an error"},
        {NONSENSE, false, "0: it is no OCSP response (DER)"},
    };
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};

    for (size_t i = 0; i < SP_ARRAY_LEN(rows); i++) {
        struct sp_tls_server_config config = {.identity = identity_of(MX), .unstapled = unstapled};
        struct sp_tls_context *context;
        unsigned char *der;

        told[0] = '\0';
        config.identity.staple = make_staple(rows[i].kind, &der);
        context = sp_tls_server_new(&config, NULL);
        ck_assert_ptr_nonnull(context);
        ck_assert_str_eq(told, rows[i].told);
        for (size_t k = 0; k < SP_ARRAY_LEN(versions); k++) {
            struct answer a =
                ask_once(context, &(struct ask){.staple = true, .version = versions[k]});

            ck_assert_msg(a.ok && a.stapled == rows[i].shown, "staple %d: %s", rows[i].kind,
                          a.stapled ? "shown" : "not shown");
            a = ask_once(context, &(struct ask){.version = versions[k]});
            ck_assert(a.ok && !a.stapled);
        }
        OPENSSL_free(der);
        sp_tls_context_unref(context);
    }
}
END_TEST

START_TEST(each_certificate_has_a_staple_of_its_own)
{
    const struct sp_tls_identity more[] = {identity_of(MX_RSA), identity_of(OTHER)};
    struct sp_tls_server_config config = {
        .identity = identity_of(MX), .more = more, .more_count = 2};
    struct sp_tls_context *context;
    unsigned char *der;

    config.identity.staple = make_staple(GOOD, &der);
    context = sp_tls_server_new(&config, NULL);
    ck_assert(ask_once(context, &(struct ask){.staple = true}).stapled);
    ck_assert(!ask_once(context, &(struct ask){.staple = true, .sigalgs = ONLY_RSA}).stapled);
    ck_assert(!ask_once(context, &(struct ask){.staple = true, .name = "other.example"}).stapled);
    OPENSSL_free(der);
    sp_tls_context_unref(context);
}
END_TEST

/* ---- tickets ---- */

static struct sp_tls_context *with_keys(const uint8_t *keys, size_t count)
{
    const struct sp_tls_server_config config = {
        .identity = identity_of(MX), .ticket_keys = sp_bytes(keys, count * SP_TLS_TICKET_KEY_LEN)};
    struct sp_tls_context *context = sp_tls_server_new(&config, NULL);

    ck_assert_ptr_nonnull(context);
    return context;
}

/* A ticket stands for a certificate that was trusted: not where other authorities are. */
START_TEST(tickets_end_with_the_trust_in_clients)
{
    uint8_t key[SP_TLS_TICKET_KEY_LEN] = {7};
    struct sp_tls_server_config config = {.identity = identity_of(MX),
                                          .ticket_keys = sp_bytes(key, sizeof(key)),
                                          .client_ca_pem = sp_bytes_cstr(ca.certificate_pem)};
    struct sp_tls_context *before = sp_tls_server_new(&config, NULL), *same, *other;
    struct ask ask = {.version = TLS1_3_VERSION};
    struct answer first;

    ck_assert_ptr_nonnull(before);
    same = sp_tls_server_new(&config, NULL);
    config.client_ca_pem = sp_bytes_cstr(other_ca.certificate_pem);
    other = sp_tls_server_new(&config, NULL);
    ck_assert(same != NULL && other != NULL);
    first = shake(before, &ask);
    ck_assert(first.ok && first.session != NULL);
    ask.session = first.session;
    ck_assert(!ask_once(other, &ask).resumed);
    ck_assert(ask_once(same, &ask).resumed);
    SSL_SESSION_free(first.session);
    sp_tls_context_unref(before);
    sp_tls_context_unref(same);
    sp_tls_context_unref(other);
}
END_TEST

START_TEST(tickets_outlive_a_rotation_and_no_more)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    uint8_t keys[3][SP_TLS_TICKET_KEY_LEN]; /* the newest first */
    struct sp_tls_context *before, *after, *later;

    for (size_t i = 0; i < SP_ARRAY_LEN(keys); i++)
        memset(keys[i], 'a' + (int)i, sizeof(keys[i]));
    before = with_keys(keys[2], 1);
    after = with_keys(keys[1], 2);
    later = with_keys(keys[0], 1);
    for (size_t k = 0; k < SP_ARRAY_LEN(versions); k++) {
        struct ask ask = {.version = versions[k]};
        struct answer first = shake(before, &ask), second, third;

        ck_assert(first.ok && !first.resumed && first.session != NULL);
        ask.session = first.session;
        second = shake(after, &ask);
        ck_assert(second.ok && second.resumed);
        ck_assert_ptr_nonnull(second.session); /* under the new key */
        third = ask_once(later, &ask);
        ck_assert(third.ok && !third.resumed); /* a full handshake */
        ask.session = second.session;
        ck_assert(!ask_once(before, &ask).resumed);
        ck_assert(ask_once(after, &ask).resumed);
        SSL_SESSION_free(first.session);
        SSL_SESSION_free(second.session);
    }
    sp_tls_context_unref(before);
    sp_tls_context_unref(after);
    sp_tls_context_unref(later);
}
END_TEST

static void make(int leaf, const char *name, unsigned rsa_bits)
{
    pki_make(&leaves[leaf], &(struct pki_wish){.name = name,
                                               .usage = "serverAuth",
                                               .issuer = &ca,
                                               .from_s = -DAY_S,
                                               .to_s = DAY_S,
                                               .rsa_bits = rsa_bits});
}

static void set_up(void)
{
    pki_make(&ca, &(struct pki_wish){.name = "CA", .from_s = -DAY_S, .to_s = DAY_S});
    pki_make(&other_ca, &(struct pki_wish){.name = "CA", .from_s = -DAY_S, .to_s = DAY_S});
    make(MX, "mx.example", 0);
    make(MX_RSA, "mx.example", 2048);
    make(OTHER, "other.example", 0);
    make(STAR, "*.star.example", 0);
    make(WEAK, "weak.example", 1024);
}

static void tear_down(void)
{
    pki_clear(&ca);
    pki_clear(&other_ca);
    for (int i = 0; i < LEAVES; i++)
        pki_clear(&leaves[i]);
}

static void add(TCase *c)
{
    tcase_add_unchecked_fixture(c, set_up, tear_down);
    tcase_add_test(c, the_name_and_the_algorithms_choose_the_certificate);
    tcase_add_test(c, a_bad_certificate_among_many_is_named);
    tcase_add_test(c, only_approved_suites_and_versions);
    tcase_add_test(c, post_quantum_where_openssl_has_it);
    tcase_add_test(c, a_staple_is_shown_if_a_client_would_believe_it);
    tcase_add_test(c, each_certificate_has_a_staple_of_its_own);
    tcase_add_test(c, tickets_outlive_a_rotation_and_no_more);
    tcase_add_test(c, tickets_end_with_the_trust_in_clients);
}

SP_TEST_MAIN("tls.server", add)
