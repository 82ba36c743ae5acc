/*
 * One line of a reply: three digits, a space, hyphen or nothing, text, CRLF. Stricter than most clients, since a next hop
 * that can't end a line properly can't be trusted to end a reply properly (the reply parser of OpenSMTPD ran wild on
 * exactly that, CVE-2020-8794).
 */
#include "smtp/reply.h"

enum sp_rc sp_smtp_reply_line(struct sp_bytes input, size_t *len, int *code, bool *last,
                              struct sp_bytes *text)
{
    size_t lf = sp_bytes_find(sp_bytes_slice(input, 0, SP_SMTP_REPLY_LINE_MAX), '\n');
    struct sp_bytes line;

    if (lf == SIZE_MAX) {
        *len = 0;
        return input.len >= SP_SMTP_REPLY_LINE_MAX ? SP_E_SMTP_REPLY : SP_OK;
    }
    if (lf < 4 || input.ptr[lf - 1] != '\r')
        return SP_E_SMTP_REPLY;
    line = sp_bytes_slice(input, 0, lf - 1);
    if (memchr(line.ptr, '\r', line.len) != NULL || memchr(line.ptr, 0, line.len) != NULL)
        return SP_E_SMTP_REPLY;
    if (line.ptr[0] < '2' || line.ptr[0] > '5' || !sp_ascii_is_digit(line.ptr[1]) ||
        !sp_ascii_is_digit(line.ptr[2]))
        return SP_E_SMTP_REPLY;
    if (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-')
        return SP_E_SMTP_REPLY;
    *code = (line.ptr[0] - '0') * 100 + (line.ptr[1] - '0') * 10 + (line.ptr[2] - '0');
    *last = line.len == 3 || line.ptr[3] == ' ';
    *text = sp_bytes_slice(line, 4, line.len);
    *len = lf + 1;
    return SP_OK;
}
