/*
 * The tenants' files and the lists of networks of this generation, for the books: what has changed since the last start
 * is on record, whoever changed it.
 */
#include "gateway/ledger/ledger.h"

#include "audit/files.h"

#define FILES_MAX 20000

enum sp_rc ledger_files_tell(struct ledger *l, struct sp_err *err)
{
    struct sp_audit_file *files = sp_calloc(FILES_MAX, sizeof(*files));
    size_t at = 0, count = 0;
    enum sp_rc rc;

    while (count < FILES_MAX &&
           sp_role_file_next(l->role, "tenants/", &at, &files[count].name, &files[count].text))
        count++;
    rc = sp_audit_book_files(l->book, files, count, err);
    sp_free(files);
    return rc;
}
