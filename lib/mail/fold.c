/*
 * Long lines of a header that others wrote. Only white space that is there becomes the beginning of a line, so nobody who
 * unfolds sees a difference; words, encoded or not, stay whole, whatever their length.
 */
#include "mail/header.h"

#include "base/text.h"

static bool is_white(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* returns: where the next line is to begin; 0 if nowhere */
static size_t find_fold(struct sp_bytes line)
{
    size_t first = 0, last = line.len;
    size_t at = SP_LINE_LEN_MAX;

    while (first < line.len && is_white(line.ptr[first]))
        first++;
    while (last > first && is_white(line.ptr[last - 1]))
        last--;
    while (at > first && (at >= last || !is_white(line.ptr[at])))
        at--;
    return at > first ? at : 0;
}

/* One line without its CRLF. returns: what is left of it, to end as it did */
static struct sp_bytes fold_line(struct sp_bytes line, struct sp_buf *out)
{
    while (line.len > SP_LINE_LEN_MAX) {
        size_t at = find_fold(line);

        if (at == 0)
            break;
        if (out != NULL) {
            sp_buf_put(out, sp_bytes_slice(line, 0, at));
            sp_buf_put_cstr(out, "\r\n");
        }
        line = sp_bytes_slice(line, at, SIZE_MAX);
    }
    return line;
}

bool sp_header_fold(struct sp_bytes header, struct sp_buf *out)
{
    bool ok = true;

    while (header.len > 0) {
        size_t lf = sp_bytes_find(header, '\n');
        size_t end = lf == SIZE_MAX ? header.len : lf + 1;
        struct sp_bytes line = sp_bytes_slice(header, 0, lf == SIZE_MAX ? end : lf);

        if (line.len > 0 && line.ptr[line.len - 1] == '\r')
            line.len--;
        line = fold_line(line, out);
        ok = ok && line.len <= SP_LINE_LEN_MAX;
        if (out != NULL) /* with the end that the line had */
            sp_buf_put(out, sp_bytes(line.ptr, (size_t)(header.ptr + end - line.ptr)));
        header = sp_bytes_slice(header, end, SIZE_MAX);
    }
    return ok;
}
