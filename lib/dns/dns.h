/*
 * DNS as mail needs it: questions to configured recursive resolvers, answers with their DNSSEC status. libldns builds
 * and reads the packets, our loop has the sockets. An answer never guesses: "no such data" is a result of its own,
 * and whatever could not be asked or did not validate is an error, which must never be read as absence (RFC 7672 2.1).
 */
#ifndef SP_DNS_DNS_H
#define SP_DNS_DNS_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/map.h"

#define SP_DNS_NAME_MAX    255 /* octets of a name as text, without the dot at its end */
#define SP_DNS_RECORDS_MAX 256 /* records of an answer that are kept; more make it malformed */
#define SP_DNS_SERVERS_MAX 8

enum sp_dns_type {
    SP_DNS_A = 1,
    SP_DNS_CNAME = 5,
    SP_DNS_PTR = 12,
    SP_DNS_MX = 15,
    SP_DNS_TXT = 16,
    SP_DNS_AAAA = 28,
    SP_DNS_SRV = 33,
    SP_DNS_TLSA = 52,
    SP_DNS_SMIMEA = 53,
    SP_DNS_OPENPGPKEY = 61,
};

/* An address without a port. family: 4 or 6; an IPv4 address lies in the first 4 bytes. */
struct sp_dns_ip {
    uint8_t family;
    uint8_t b[16];
};

/* One record of the type that was asked for. Names are lower case, with no dot at the end; the root is empty. */
struct sp_dns_record {
    struct sp_bytes name;  /* MX: exchange; CNAME, PTR, SRV: target */
    struct sp_bytes data;  /* TXT: all strings joined; TLSA, SMIMEA: association; OPENPGPKEY: key */
    struct sp_dns_ip ip;   /* A, AAAA */
    uint16_t preference;   /* MX; SRV: priority */
    uint16_t weight;       /* SRV */
    uint16_t port;         /* SRV */
    uint8_t usage;         /* TLSA, SMIMEA: certificate usage */
    uint8_t selector;      /* TLSA, SMIMEA */
    uint8_t matching_type; /* TLSA, SMIMEA */
};

/*
 * What is known of a question. Immutable and counted; hold it with sp_dns_answer_ref.
 *
 * rc: SP_OK (there are records), SP_E_DNS_NONE (the name has none of this type), SP_E_DNS_NXDOMAIN, or an error:
 *     SP_E_DNS_BOGUS, SP_E_DNS_SERVFAIL, SP_E_DNS_TIMEOUT, SP_E_DNS_MALFORMED
 */
struct sp_dns_answer {
    enum sp_rc rc;
    bool secure;           /* validated, said by a resolver that we trust; for absence too */
    bool aliased;          /* a CNAME was followed */
    struct sp_bytes owner; /* the name that holds the records, behind all aliases */
    const struct sp_dns_record *records;
    size_t count;
    int64_t good_until_ms; /* monotonic; errors are kept for a moment only */
};

/* returns: the same answer, with one more owner. thread: loop */
const struct sp_dns_answer *sp_dns_answer_ref(const struct sp_dns_answer *a);
/* Gives one ownership back. NULL is allowed. thread: loop */
void sp_dns_answer_unref(const struct sp_dns_answer *a);

/* returns: whether rc says that a look-up failed (as against: there is nothing) */
bool sp_dns_rc_is_error(enum sp_rc rc);

/* answer: lent for the call */
typedef void (*sp_dns_fn)(void *arg, const struct sp_dns_answer *answer);

/*
 * For whom is asked, best first. Each has questions under way of its own: nobody waits behind the names that others ask for, and
 * that nobody answers about.
 */
enum sp_dns_party {
    SP_DNS_PARTY_OURS,   /* reports, keys of signatures, commands: whoever does not say */
    SP_DNS_PARTY_PROVEN, /* mail for sites that have taken many */
    SP_DNS_PARTY_KNOWN,  /* ... and that have taken some */
    SP_DNS_PARTY_URGENT, /* somebody waits for it, whoever is asked about */
    SP_DNS_PARTY_STRANGERS,
    SP_DNS_PARTY_COUNT
};

/*
 * Who answers: the resolver below, or the test's.
 *
 * ask:        returns a handle; calls back exactly once, never before it has returned and never after cancel
 * cancel:     a stale handle is ignored
 * is_trusted: whether `secure` can ever be true
 * party:      the slots by which that party asks, of the same life; cancel takes each other's handles. NULL: all are one
 * hurry:      a question asked by a party that is not as good is this one's, too; a stale handle is ignored. May be NULL
 * has_room:   whether one question more keeps nobody of the party waiting who comes next. NULL: never
 */
struct sp_dns_ops {
    sp_handle (*ask)(void *ctx, struct sp_bytes name, enum sp_dns_type type, sp_dns_fn fn,
                     void *arg);
    void (*cancel)(void *ctx, sp_handle question);
    bool (*is_trusted)(const void *ctx);
    const struct sp_dns_ops *(*party)(void *ctx, enum sp_dns_party party);
    void (*hurry)(void *ctx, sp_handle question);
    bool (*has_room)(const void *ctx);
    void *ctx;
};

/* returns: as the slot. thread: loop */
static inline sp_handle sp_dns_ask(const struct sp_dns_ops *dns, struct sp_bytes name,
                                   enum sp_dns_type type, sp_dns_fn fn, void *arg)
{
    return dns->ask(dns->ctx, name, type, fn, arg);
}
/* Ends a question without a call back. thread: loop */
static inline void sp_dns_cancel(const struct sp_dns_ops *dns, sp_handle question)
{
    dns->cancel(dns->ctx, question);
}

/* returns: by which a party asks. thread: loop */
static inline const struct sp_dns_ops *sp_dns_for(const struct sp_dns_ops *dns,
                                                  enum sp_dns_party party)
{
    return dns->party == NULL ? dns : dns->party(dns->ctx, party);
}
/* As the slot. thread: loop */
static inline void sp_dns_hurry(const struct sp_dns_ops *dns, sp_handle question)
{
    if (dns->hurry != NULL)
        dns->hurry(dns->ctx, question);
}

/* returns: as the slot. thread: loop */
static inline bool sp_dns_has_room(const struct sp_dns_ops *dns)
{
    return dns->has_room != NULL && dns->has_room(dns->ctx);
}

/* Formats an address without brackets. out: at least 46 bytes, NUL-terminated afterwards. thread: any */
void sp_dns_ip_format(const struct sp_dns_ip *ip, char *out);
/* returns: false if text is neither an IPv4 nor an IPv6 address. thread: any */
SP_MUST_CHECK bool sp_dns_ip_parse(struct sp_bytes text, struct sp_dns_ip *out);

#endif
