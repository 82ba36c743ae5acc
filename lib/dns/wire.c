/*
 * Packets by libldns. Whether a packet is an answer at all (id, question, letter case) is compared on the raw octets
 * before ldns sees it: the question of an answer stands uncompressed at the same place as in our query. Of the answer
 * section only the chain of aliases that starts at our question, and the records at its end, are taken; whatever else
 * a server adds is not believed.
 */
#include "dns/wire.h"

#include "dns/answer.h"

#include <ldns/ldns.h>

#define HEADER_LEN     12
#define LABEL_MAX      63
#define CHAIN_MAX      12
#define TTL_MAX_S      86400
#define NEGATIVE_MAX_S 3600
#define NO_SOA_S       5 /* an absence without SOA is not for keeping (RFC 2308 5) */
#define ERROR_MS       2000

static bool is_name_octet(uint8_t c)
{
    return sp_ascii_is_alnum(c) || c == '-' || c == '_';
}

bool sp_dns_name_is_valid(struct sp_bytes name)
{
    size_t label = 0;

    if (name.len == 0 || name.len > SP_DNS_NAME_MAX - 2)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] != '.' && (!is_name_octet(name.ptr[i]) || ++label > LABEL_MAX))
            return false;
        if (name.ptr[i] == '.') {
            if (label == 0)
                return false;
            label = 0;
        }
    }
    return label > 0;
}

/* Letters in random case (0x20): bits that a blind guesser must hit too. */
static void mix_case(struct sp_bytes name, const struct sp_random *random, char *out)
{
    uint8_t bits[SP_DNS_NAME_MAX / 8 + 1];

    sp_random_fill(random, bits, sizeof(bits));
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = sp_ascii_lower(name.ptr[i]);

        if (sp_ascii_is_alpha(c) && (bits[i / 8] >> (i % 8) & 1) != 0)
            c = (uint8_t)(c - 'a' + 'A');
        out[i] = (char)c;
    }
    out[name.len] = '\0';
}

enum sp_rc sp_dns_wire_query(struct sp_bytes name, enum sp_dns_type type, bool unchecked,
                             const struct sp_random *random, struct sp_buf *out)
{
    char text[SP_DNS_NAME_MAX + 1];
    ldns_rdf *dname;
    ldns_pkt *pkt;
    uint8_t *wire = NULL;
    size_t wire_len = 0;
    uint16_t id;

    if (!sp_dns_name_is_valid(name))
        return SP_E_DNS_MALFORMED;
    mix_case(name, random, text);
    dname = ldns_dname_new_frm_str(text);
    if (dname == NULL)
        return SP_E_DNS_MALFORMED;
    pkt = ldns_pkt_query_new(dname, (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
    if (pkt == NULL) {
        ldns_rdf_deep_free(dname);
        return SP_E_DNS_MALFORMED;
    }
    sp_random_fill(random, &id, sizeof(id));
    ldns_pkt_set_id(pkt, id);
    ldns_pkt_set_ad(pkt, true);
    ldns_pkt_set_cd(pkt, unchecked);
    ldns_pkt_set_edns_udp_size(pkt, SP_DNS_UDP_MAX);
    ldns_pkt_set_edns_do(pkt, true);
    if (ldns_pkt2wire(&wire, pkt, &wire_len) == LDNS_STATUS_OK)
        sp_buf_put(out, sp_bytes(wire, wire_len));
    LDNS_FREE(wire);
    ldns_pkt_free(pkt);
    return wire_len > 0 && sp_buf_rc(out) == SP_OK ? SP_OK : SP_E_DNS_MALFORMED;
}

/* returns: the octets of the question that starts behind the header: name, type, class; 0 if they are not whole */
static size_t question_len(struct sp_bytes packet)
{
    size_t at = HEADER_LEN;

    while (at < packet.len && packet.ptr[at] != 0) {
        if (packet.ptr[at] > LABEL_MAX)
            return 0;
        at += (size_t)packet.ptr[at] + 1;
    }
    return at + 5 <= packet.len ? at + 5 - HEADER_LEN : 0;
}

enum sp_dns_fit sp_dns_wire_fit(struct sp_bytes query, struct sp_bytes packet)
{
    size_t len = question_len(query);
    struct sp_bytes asked = sp_bytes_slice(query, HEADER_LEN, len);
    struct sp_bytes got = sp_bytes_slice(packet, HEADER_LEN, len);

    if (packet.len < HEADER_LEN + len || memcmp(packet.ptr, query.ptr, 2) != 0)
        return SP_DNS_FIT_OTHER;
    if ((packet.ptr[2] & 0xF8) != 0x80) /* QR set, opcode 0 */
        return SP_DNS_FIT_OTHER;
    if (packet.ptr[4] != 0 || packet.ptr[5] != 1) /* one question */
        return SP_DNS_FIT_OTHER;
    if (sp_bytes_eq(asked, got))
        return SP_DNS_FIT;
    return sp_bytes_eq_nocase(asked, got) ? SP_DNS_FIT_CASE : SP_DNS_FIT_OTHER;
}

bool sp_dns_wire_is_cut(struct sp_bytes packet)
{
    return packet.len >= HEADER_LEN && (packet.ptr[2] & 0x02) != 0;
}

const struct sp_dns_answer *sp_dns_answer_error(enum sp_rc rc, int64_t good_until_ms)
{
    struct sp_dns_answer like = {.rc = rc, .good_until_ms = good_until_ms};

    return sp_dns_draft_finish(sp_dns_draft_new(), &like);
}

/* Text of a domain name: lower case, no dot at the end. returns: false if it holds what no host name has */
static bool name_text(const ldns_rdf *rdf, char *out, struct sp_bytes *text)
{
    const uint8_t *wire = ldns_rdf_data(rdf);
    size_t len = ldns_rdf_size(rdf);
    size_t to = 0;

    for (size_t at = 0; at < len && wire[at] != 0;) {
        size_t label = wire[at++];

        if (label > LABEL_MAX || at + label > len || to + label + 1 > SP_DNS_NAME_MAX)
            return false;
        if (to > 0)
            out[to++] = '.';
        for (size_t i = 0; i < label; i++, at++) {
            if (!is_name_octet(wire[at]))
                return false;
            out[to++] = (char)sp_ascii_lower(wire[at]);
        }
    }
    *text = sp_bytes(out, to);
    return true;
}

/* All strings of a TXT record as one (RFC 7208 3.3, RFC 8461 3.1). */
static bool join_strings(const ldns_rr *rr, struct sp_buf *out)
{
    for (size_t i = 0; i < ldns_rr_rd_count(rr); i++) {
        const ldns_rdf *rdf = ldns_rr_rdf(rr, i);

        if (ldns_rdf_size(rdf) == 0 || ldns_rdf_data(rdf)[0] + 1U > ldns_rdf_size(rdf))
            return false;
        sp_buf_put(out, sp_bytes(ldns_rdf_data(rdf) + 1, ldns_rdf_data(rdf)[0]));
    }
    return sp_buf_rc(out) == SP_OK;
}

static struct sp_bytes rdf_bytes(const ldns_rdf *rdf)
{
    return sp_bytes(ldns_rdf_data(rdf), ldns_rdf_size(rdf));
}

static bool read_address(const ldns_rr *rr, struct sp_dns_record *out)
{
    size_t len = ldns_rr_get_type(rr) == LDNS_RR_TYPE_A ? 4 : 16;
    const ldns_rdf *rdf = ldns_rr_rdf(rr, 0);

    if (rdf == NULL || ldns_rdf_size(rdf) != len)
        return false;
    out->ip.family = len == 4 ? 4 : 6;
    memcpy(out->ip.b, ldns_rdf_data(rdf), len);
    return true;
}

static bool read_association(const ldns_rr *rr, struct sp_dns_record *out)
{
    if (ldns_rr_rd_count(rr) < 4)
        return false;
    for (size_t i = 0; i < 3; i++)
        if (ldns_rdf_size(ldns_rr_rdf(rr, i)) != 1)
            return false;
    out->usage = ldns_rdf_data(ldns_rr_rdf(rr, 0))[0];
    out->selector = ldns_rdf_data(ldns_rr_rdf(rr, 1))[0];
    out->matching_type = ldns_rdf_data(ldns_rr_rdf(rr, 2))[0];
    out->data = rdf_bytes(ldns_rr_rdf(rr, 3));
    return true;
}

static bool read_target(const ldns_rr *rr, size_t fields, char *text, struct sp_dns_record *out)
{
    if (ldns_rr_rd_count(rr) != fields + 1)
        return false;
    for (size_t i = 0; i < fields; i++)
        if (ldns_rdf_size(ldns_rr_rdf(rr, i)) != 2)
            return false;
    return name_text(ldns_rr_rdf(rr, fields), text, &out->name);
}

/* Priority, weight, port, target (RFC 2782). */
static bool read_service(const ldns_rr *rr, char *text, struct sp_dns_record *out)
{
    if (!read_target(rr, 3, text, out))
        return false;
    out->preference = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
    out->weight = ldns_rdf2native_int16(ldns_rr_rdf(rr, 1));
    out->port = ldns_rdf2native_int16(ldns_rr_rdf(rr, 2));
    return true;
}

/* Adds one record of the type asked for. text and joined are room that the record's views point into until added. */
static enum sp_rc take_record(struct sp_dns_draft *d, const ldns_rr *rr, char *text,
                              struct sp_buf *joined)
{
    struct sp_dns_record r = {0};
    bool ok = false;

    sp_buf_reset(joined);
    switch (ldns_rr_get_type(rr)) {
    case LDNS_RR_TYPE_A:
    case LDNS_RR_TYPE_AAAA:
        ok = read_address(rr, &r);
        break;
    case LDNS_RR_TYPE_CNAME:
    case LDNS_RR_TYPE_PTR:
        ok = read_target(rr, 0, text, &r);
        break;
    case LDNS_RR_TYPE_SRV:
        ok = read_service(rr, text, &r);
        break;
    case LDNS_RR_TYPE_MX:
        ok = read_target(rr, 1, text, &r);
        if (ok)
            r.preference = ldns_rdf2native_int16(ldns_rr_rdf(rr, 0));
        break;
    case LDNS_RR_TYPE_TXT:
        ok = join_strings(rr, joined);
        r.data = sp_buf_bytes(joined);
        break;
    case LDNS_RR_TYPE_TLSA:
    case LDNS_RR_TYPE_SMIMEA:
        ok = read_association(rr, &r);
        break;
    case LDNS_RR_TYPE_OPENPGPKEY:
        ok = ldns_rr_rd_count(rr) == 1;
        if (ok)
            r.data = rdf_bytes(ldns_rr_rdf(rr, 0));
        break;
    default:
        break;
    }
    return ok ? sp_dns_draft_add(d, &r) : SP_E_DNS_MALFORMED;
}

struct walk {
    const ldns_pkt *pkt;
    const ldns_rdf *owner; /* where the chain has come to */
    enum sp_dns_type type;
    uint32_t ttl_s;
    bool aliased;
};

static void lower_ttl(struct walk *w, const ldns_rr *rr)
{
    if (ldns_rr_ttl(rr) < w->ttl_s)
        w->ttl_s = ldns_rr_ttl(rr);
}

/* Goes one alias further. returns: false if there is none at the owner */
static bool follow_alias(struct walk *w)
{
    const ldns_rr_list *list = ldns_pkt_answer(w->pkt);

    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);

        if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_CNAME || ldns_rr_rd_count(rr) != 1 ||
            ldns_dname_compare(ldns_rr_owner(rr), w->owner) != 0)
            continue;
        w->owner = ldns_rr_rdf(rr, 0);
        w->aliased = true;
        lower_ttl(w, rr);
        return true;
    }
    return false;
}

/* Collects what stands at the chain's end. */
static enum sp_rc collect(struct walk *w, struct sp_dns_draft *d)
{
    const ldns_rr_list *list = ldns_pkt_answer(w->pkt);
    char text[SP_DNS_NAME_MAX + 1];
    struct sp_buf joined;
    enum sp_rc rc = SP_OK;

    for (int i = 0; w->type != SP_DNS_CNAME && follow_alias(w); i++)
        if (i == CHAIN_MAX)
            return SP_E_DNS_MALFORMED;
    sp_buf_init(&joined, SP_DNS_PACKET_MAX);
    for (size_t i = 0; rc == SP_OK && i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);

        if (ldns_rr_get_type(rr) != (ldns_rr_type)w->type ||
            ldns_dname_compare(ldns_rr_owner(rr), w->owner) != 0)
            continue;
        lower_ttl(w, rr);
        rc = take_record(d, rr, text, &joined);
    }
    sp_buf_clear(&joined);
    return rc;
}

/* RFC 2308 5: an absence lives as long as the SOA's own TTL and minimum say. */
static uint32_t negative_ttl_s(const ldns_pkt *pkt)
{
    const ldns_rr_list *list = ldns_pkt_authority(pkt);

    for (size_t i = 0; i < ldns_rr_list_rr_count(list); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(list, i);
        uint32_t ttl_s;

        if (ldns_rr_get_type(rr) != LDNS_RR_TYPE_SOA || ldns_rr_rd_count(rr) != 7)
            continue;
        ttl_s = ldns_rdf2native_int32(ldns_rr_rdf(rr, 6));
        if (ldns_rr_ttl(rr) < ttl_s)
            ttl_s = ldns_rr_ttl(rr);
        return ttl_s < NEGATIVE_MAX_S ? ttl_s : NEGATIVE_MAX_S;
    }
    return NO_SOA_S;
}

static enum sp_rc rcode_rc(const ldns_pkt *pkt, size_t count)
{
    switch (ldns_pkt_get_rcode(pkt)) {
    case LDNS_RCODE_NOERROR:
        return count > 0 ? SP_OK : SP_E_DNS_NONE;
    case LDNS_RCODE_NXDOMAIN:
        return SP_E_DNS_NXDOMAIN;
    default:
        return SP_E_DNS_SERVFAIL;
    }
}

static const struct sp_dns_answer *from_packet(const ldns_pkt *pkt, enum sp_dns_type type,
                                               bool trusted, int64_t now_ms)
{
    struct walk w = {.pkt = pkt, .type = type, .ttl_s = TTL_MAX_S};
    struct sp_dns_draft *d = sp_dns_draft_new();
    char text[SP_DNS_NAME_MAX + 1];
    struct sp_dns_answer like = {0};
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(pkt), 0);

    if (question == NULL)
        goto malformed;
    w.owner = ldns_rr_owner(question);
    if (collect(&w, d) != SP_OK || !name_text(w.owner, text, &like.owner))
        goto malformed;
    like.rc = rcode_rc(pkt, sp_dns_draft_count(d));
    if (like.rc != SP_OK && sp_dns_draft_count(d) > 0)
        goto malformed; /* records under an error code: nothing of it is believed */
    like.aliased = w.aliased;
    like.secure = trusted && ldns_pkt_ad(pkt) && !sp_dns_rc_is_error(like.rc);
    like.good_until_ms =
        now_ms + (like.rc == SP_OK              ? (int64_t)w.ttl_s * 1000
                  : sp_dns_rc_is_error(like.rc) ? ERROR_MS
                                                : (int64_t)negative_ttl_s(pkt) * 1000);
    return sp_dns_draft_finish(d, &like);
malformed:
    sp_dns_draft_drop(d);
    return sp_dns_answer_error(SP_E_DNS_MALFORMED, now_ms + ERROR_MS);
}

const struct sp_dns_answer *sp_dns_wire_read(struct sp_bytes packet, enum sp_dns_type type,
                                             bool trusted, int64_t now_ms)
{
    const struct sp_dns_answer *a;
    ldns_pkt *pkt = NULL;

    if (packet.len > SP_DNS_PACKET_MAX ||
        ldns_wire2pkt(&pkt, packet.ptr, packet.len) != LDNS_STATUS_OK)
        return sp_dns_answer_error(SP_E_DNS_MALFORMED, now_ms + ERROR_MS);
    a = from_packet(pkt, type, trusted, now_ms);
    ldns_pkt_free(pkt);
    return a;
}
