/*
 * A look at OpenPGP data before gpg sees it: one public key, its user ids, subkeys and signatures, nothing else. gpg would
 * import whatever lies in a file, secret keys and whole rings too; what is refused here never reaches it. Only tags and
 * lengths are read (RFC 4880 4.2); what the packets say is gpg's to judge.
 */
#include "keys/keys.h"

#include "base/reader.h"
#include "base/text.h"

#define PACKETS_MAX 5000

enum {
    TAG_SIGNATURE = 2,
    TAG_SECRET_KEY = 5,
    TAG_PUBLIC_KEY = 6,
    TAG_SECRET_SUBKEY = 7,
    TAG_MARKER = 10,
    TAG_TRUST = 12,
    TAG_USER_ID = 13,
    TAG_PUBLIC_SUBKEY = 14,
    TAG_USER_ATTRIBUTE = 17,
};

#define ARMOR_BEGIN "-----BEGIN PGP "
#define ARMOR_KEY   "-----BEGIN PGP PUBLIC KEY BLOCK-----"

bool sp_keys_pgp_is(struct sp_bytes file)
{
    if (sp_bytes_find_all(file, SP_LIT(ARMOR_BEGIN)) != SIZE_MAX)
        return true;
    /* a packet's first octet has bit 7; DER begins with a SEQUENCE, PEM with text */
    return file.len > 0 && (file.ptr[0] & 0x80) != 0;
}

/* Big-endian, as OpenPGP has it. */
static uint32_t read_be(struct sp_reader *r, unsigned octets)
{
    uint32_t v = 0;

    while (octets-- > 0)
        v = v << 8 | sp_reader_u8(r);
    return v;
}

/* One packet's header; partial and indeterminate lengths are for data, not keys. */
static void read_header(struct sp_reader *r, unsigned *tag, uint32_t *len)
{
    uint8_t first = sp_reader_u8(r);

    if (!(first & 0x80)) {
        sp_reader_fail(r);
        return;
    }
    if (first & 0x40) {
        uint8_t l = sp_reader_u8(r);

        *tag = first & 0x3f;
        if (l < 192)
            *len = l;
        else if (l < 224)
            *len = ((uint32_t)(l - 192) << 8) + sp_reader_u8(r) + 192;
        else if (l == 255)
            *len = read_be(r, 4);
        else
            sp_reader_fail(r);
        return;
    }
    *tag = first >> 2 & 0x0f;
    if ((first & 3) == 3)
        sp_reader_fail(r);
    else
        *len = read_be(r, 1U << (first & 3));
}

static enum sp_rc judge_tag(unsigned tag, size_t at, struct sp_err *err)
{
    switch (tag) {
    case TAG_SECRET_KEY:
    case TAG_SECRET_SUBKEY:
        return sp_fail(err, SP_E_KEYS_FORMAT, "the file holds a secret key");
    case TAG_PUBLIC_KEY:
        return at == 0 ? SP_OK : sp_fail(err, SP_E_KEYS_FORMAT, "the file holds more than one key");
    case TAG_SIGNATURE:
    case TAG_MARKER:
    case TAG_TRUST:
    case TAG_USER_ID:
    case TAG_PUBLIC_SUBKEY:
    case TAG_USER_ATTRIBUTE:
        return at > 0 ? SP_OK
                      : sp_fail(err, SP_E_KEYS_FORMAT, "the file does not begin with a key");
    default:
        return sp_fail(err, SP_E_KEYS_FORMAT, "the file holds something other than a key");
    }
}

static enum sp_rc walk(struct sp_bytes binary, struct sp_err *err)
{
    struct sp_reader r = sp_reader(binary);
    enum sp_rc rc = SP_OK;

    for (size_t at = 0; rc == SP_OK && (at == 0 || sp_reader_left(&r) > 0); at++) {
        unsigned tag = 0;
        uint32_t len = 0;

        read_header(&r, &tag, &len);
        sp_reader_take(&r, len);
        if (sp_reader_rc(&r) != SP_OK)
            return sp_fail(err, SP_E_KEYS_FORMAT, "the file is no OpenPGP key");
        if (at == PACKETS_MAX)
            return sp_fail(err, SP_E_LIMIT, "the key has more than %d packets", PACKETS_MAX);
        rc = judge_tag(tag, at, err);
    }
    return rc;
}

/* Base 64 between the armor's empty line and its checksum or end; the checksum is for transport and not looked at. */
static bool dearmor(struct sp_bytes file, struct sp_buf *binary)
{
    size_t begin = sp_bytes_find_all(file, SP_LIT(ARMOR_KEY));
    struct sp_bytes rest, line;
    struct sp_buf text;
    bool in_body = false;
    bool ended = false;
    bool good;

    if (begin == SIZE_MAX)
        return false;
    rest = sp_bytes_slice(file, begin, SIZE_MAX);
    sp_bytes_split(&rest, '\n', &line);
    sp_buf_init(&text, SP_KEYS_IMPORT_MAX);
    while (!ended && sp_bytes_split(&rest, '\n', &line)) {
        line = sp_bytes_trim(line);
        ended = sp_bytes_starts_nocase(line, SP_LIT("-----"));
        if (!in_body)
            in_body = line.len == 0;
        else if (!ended && line.len > 0 && line.ptr[0] != '=')
            sp_buf_put(&text, line);
    }
    good = ended && in_body && sp_base64_decode(binary, sp_buf_bytes(&text)) &&
           sp_bytes_find_all(rest, SP_LIT(ARMOR_BEGIN)) == SIZE_MAX;
    sp_buf_clear(&text);
    return good;
}

enum sp_rc sp_keys_pgp_check(struct sp_bytes file, struct sp_buf *binary, struct sp_err *err)
{
    if (file.len > SP_KEYS_IMPORT_MAX)
        return sp_fail(err, SP_E_LIMIT, "the file is larger than %u bytes", SP_KEYS_IMPORT_MAX);
    if (sp_bytes_find_all(file, SP_LIT("PRIVATE KEY BLOCK-----")) != SIZE_MAX)
        return sp_fail(err, SP_E_KEYS_FORMAT, "the file holds a secret key");
    if (sp_bytes_find_all(file, SP_LIT(ARMOR_BEGIN)) != SIZE_MAX) {
        if (!dearmor(file, binary))
            return sp_fail(err, SP_E_KEYS_FORMAT, "the armor is damaged, or holds several keys");
    } else {
        sp_buf_put(binary, file);
    }
    if (sp_buf_rc(binary) != SP_OK)
        return sp_fail(err, SP_E_LIMIT, "the file is too large");
    return walk(sp_buf_bytes(binary), err);
}
