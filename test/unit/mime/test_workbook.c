/* Spreadsheets: cells show shared texts and dates, whatever file came first; what is no workbook is refused. */
#include "mime/workbook.h"
#include "support/check_main.h"

#include <stdio.h>

static const char texts[] =
    "<?xml version='1.0'?><sst><si><t>Name</t></si><si><r><t>Ma</t></r><r><t>ria"
    "</t></r></si><si><t>never &amp; shown</t></si></sst>";
static const char styles[] =
    "<styleSheet><numFmts><numFmt numFmtId='164' formatCode='[$-409]d\\ mmm;@'/>"
    "<numFmt numFmtId='165' formatCode='0.0 \"days\"'/></numFmts>"
    "<cellStyleXfs><xf numFmtId='14'/></cellStyleXfs>"
    "<cellXfs><xf numFmtId='0'/><xf numFmtId='14'/><xf numFmtId='164'/><xf numFmtId='165'/>"
    "</cellXfs></styleSheet>";

struct file {
    const char *name, *text;
};

static enum sp_rc take(struct sp_mime_workbook *w, const char *name, struct sp_bytes file)
{
    const struct sp_mime_input in = sp_mime_input_bytes(&file);

    ck_assert(sp_mime_workbook_wants(name));
    return sp_mime_workbook_take(w, name, &in);
}

static void check_text(const struct sp_mime_workbook *w, const char *expected)
{
    struct sp_buf out;
    const struct sp_mime_output text = sp_mime_output_buf(&out);

    sp_buf_init(&out, 65536);
    ck_assert_int_eq(sp_mime_workbook_text(w, &text), SP_OK);
    ck_assert_msg(sp_bytes_eq(sp_buf_bytes(&out), sp_bytes_cstr(expected)), "%.*s", SP_FMT(out));
    sp_buf_clear(&out);
}

/* Up to four files, in their order. */
static void check(const struct file *files, const char *expected)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(65536);

    for (int i = 0; i < 4 && files[i].name != NULL; i++)
        ck_assert_int_eq(take(w, files[i].name, sp_bytes_cstr(files[i].text)), SP_OK);
    check_text(w, expected);
}

static const char sheet[] = "<worksheet><sheetData><row r='1'><c r='A1' t='s'><v>0</v></c><c "
                            "r='B1' t='inlineStr'><is><t>D</t>"
                            "<t>OB</t></is></c></row><row><c t='s'><v>1</v></c><c "
                            "s='1'><v>22343</v></c><c s='2'><v>60.5</v></c>"
                            "<c s='3'><v>7</v></c></row></sheetData></worksheet>";
static const char table[] = "\nName\tDOB\nMaria\t1961-03-03\t1900-02-28\t7\n\nnever & shown\n";

START_TEST(the_order_of_files_is_all_one)
{
    const struct file first[4] = {{"xl/sharedStrings.xml", texts},
                                  {"xl/styles.xml", styles},
                                  {"xl/worksheets/sheet1.xml", sheet}};
    const struct file last[4] = {{"XL/worksheets/Sheet1.xml", sheet},
                                 {"xl/styles.xml", styles},
                                 {"xl/SharedStrings.xml", texts}};

    check(first, table);
    check(last, table);
}
END_TEST

static const struct {
    const char *cells, *expected;
} sheets[] = {
    {"<c r='C1'><v>3</v></c><c r='F1'><v>6</v></c>", "\n\t\t3\t\t\t6\n\n"},
    {"<c r='XFD1'><v>3</v></c>", "\n\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
                                 "\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t\t"
                                 "\t\t\t\t\t\t\t\t\t\t\t\t3\n\n"},
    {"<c r='9'><v>3</v></c><c r='ZZZZ'><v>4</v></c>", "\n3\t4\n\n"},
    {"<c t='str'><v>Zoe</v><f>TRIM(A1)&amp;\"x\"</f></c><c><f>SUM(A1:B2)</f><v>1</v></c>"
     "<c><f>A1+219456781</f></c>",
     "\nZoe\t1\t\n\nTRIM(A1)&\"x\"\nA1+219456781\n"},
    {"<c t='str'><f>CONCAT(A1,\"Zed\")</f><v>a\nb</v></c><c><f>SUM(A1)</f><v>4</v></c>",
     "\na b\t4\n\nCONCAT(A1,\"Zed\")\n"},
    {"<c t='s'><v>77</v></c><c t='s'><v>-1</v></c><c t='e'><v>#N/A</v></c>", "\n\t-1\t#N/A\n\n"},
    {"<c s='1'><v>0.5</v></c><c s='1'><v>9999999</v></c><c s='1'><v>1e9</v></c><c "
     "s='99'><v>5</v></c>",
     "\n0.5\t9999999\t1e9\t5\n\n"},
};

START_TEST(cells_are_written_as_they_are_read)
{
    char text[1024];
    const struct file files[4] = {{"xl/worksheets/s.xml", text}, {"xl/styles.xml", styles}};

    (void)snprintf(
        text, sizeof(text),
        "<?xml version='1.0'?><x:worksheet xmlns:x='u'><sheetData><row>%s</row></sheetData>"
        "</x:worksheet>",
        sheets[_i].cells);
    check(files, sheets[_i].expected);
}
END_TEST

START_TEST(days_may_count_from_1904)
{
    const struct file files[4] = {
        {"xl/workbook.xml",
         "<workbook><workbookPr date1904='1'/><sheets><sheet name='Ward 3'/></sheets>"
         "</workbook>"},
        {"xl/styles.xml", styles},
        {"xl/worksheets/s.xml",
         "<worksheet><row><c s='1'><v>1</v></c></row><headerFooter><oddHeader> &amp;LList "
         "</oddHeader>"
         "</headerFooter></worksheet>"}};

    check(files, "\n1904-01-02\n\nWard 3\n&LList\n");
}
END_TEST

static const struct {
    const char *name, *file, *expected;
} hidden[] = {
    {"xl/styles.xml", "<styleSheet><fonts>SSN 1</fonts><!-- SSN 2 --></styleSheet>",
     "\n\nSSN 1\nSSN 2\n"},
    {"xl/workbook.xml", "<workbook><definedName>\"SSN 1\"</definedName></workbook>",
     "\n\n\"SSN 1\"\n"},
    {"xl/sharedStrings.xml", "<sst>SSN 1<si>SSN 2<t>x</t>SSN 3</si><t>SSN 4</t></sst>",
     "\n\nx\nSSN 4\nSSN 1\nSSN 2\nSSN 3\n"},
    {"xl/worksheets/s.xml",
     "<worksheet>SSN 1<row>SSN 2<c>SSN 3<v>4</v>SSN 5</c></row><dataValidation prompt='SSN 6'/>"
     "<hyperlink display='SSN 7'/><!--SSN 8--></worksheet>",
     "\n4\n\nSSN 1\nSSN 2\nSSN 3\nSSN 5\nSSN 6\nSSN 7\nSSN 8\n"},
};

START_TEST(what_no_table_takes_is_text)
{
    const struct file files[4] = {{hidden[_i].name, hidden[_i].file}};

    check(files, hidden[_i].expected);
}
END_TEST

START_TEST(a_text_is_not_shown_without_end)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(65536);
    struct sp_buf file, out;
    const struct sp_mime_output text = sp_mime_output_buf(&out);

    sp_buf_init(&file, 1 << 20);
    sp_buf_init(&out, 1 << 20);
    sp_buf_put_cstr(&file, "<sst><si><t>");
    for (int i = 0; i < 4000; i++)
        sp_buf_put_cstr(&file, "0123456789");
    sp_buf_put_cstr(&file, "</t></si></sst>");
    ck_assert_int_eq(take(w, "xl/sharedStrings.xml", sp_buf_bytes(&file)), SP_OK);
    sp_buf_reset(&file);
    sp_buf_put_cstr(&file, "<worksheet>");
    for (int i = 0; i < 5000; i++)
        sp_buf_put_cstr(&file, "<c t='s'><v>0</v></c>");
    sp_buf_put_cstr(&file, "</worksheet>");
    ck_assert_int_eq(take(w, "xl/worksheets/s.xml", sp_buf_bytes(&file)), SP_OK);
    ck_assert_int_eq(sp_mime_workbook_text(w, &text), SP_E_LIMIT);
    ck_assert_uint_gt(out.len, 65536);
    ck_assert_uint_lt(out.len, 6 * 65536);
    sp_buf_clear(&file);
    sp_buf_clear(&out);
}
END_TEST

static const char *const foreign[] = {
    "<!DOCTYPE x [<!ENTITY a \"b\">]><worksheet><row><c><v>&a;</v></c></row></worksheet>",
    "<worksheet><row>",
    "<worksheet><row></c></worksheet>",
    "no XML",
    "<worksheet><c><v>&undeclared;</v></c></worksheet>",
};

START_TEST(what_is_no_sheet_is_refused)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(65536);

    ck_assert_int_eq(take(w, "xl/worksheets/s.xml", sp_bytes_cstr(foreign[_i])), SP_E_MALFORMED);
    ck_assert(!sp_mime_workbook_wants("xl/worksheets/s.bin"));
    ck_assert(!sp_mime_workbook_wants("word/document.xml"));
}
END_TEST

START_TEST(what_was_read_before_a_fault_stays)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(65536);
    struct sp_buf file;

    sp_buf_init(&file, 65536);
    sp_buf_put_cstr(&file, "<worksheet><row><c t='str'><v>SSN 1 ");
    for (int i = 0; i < 5000; i++)
        sp_buf_put_u8(&file, '.');
    sp_buf_put_cstr(&file, "SSN 2</wrong>");
    ck_assert_int_eq(take(w, "xl/worksheets/s.xml", sp_buf_bytes(&file)), SP_E_MALFORMED);
    sp_buf_reset(&file);
    {
        const struct sp_mime_output text = sp_mime_output_buf(&file);

        ck_assert_int_eq(sp_mime_workbook_text(w, &text), SP_OK);
    }
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&file), SP_LIT("SSN 1")) != SIZE_MAX);
    ck_assert(sp_bytes_find_all(sp_buf_bytes(&file), SP_LIT("SSN 2")) != SIZE_MAX);
    sp_buf_clear(&file);
}
END_TEST

START_TEST(no_more_is_kept_than_allowed)
{
    SP_AUTO(sp_mime_workbook) w = sp_mime_workbook_new(1000);
    struct sp_buf file;

    sp_buf_init(&file, 1 << 20);
    sp_buf_put_cstr(&file, "<worksheet>");
    for (int i = 0; i < 500; i++)
        sp_buf_put_cstr(&file, "<row><c><v>12345</v></c></row>");
    ck_assert_int_eq(take(w, "xl/worksheets/s.xml", sp_buf_bytes(&file)), SP_E_LIMIT);
    sp_buf_reset(&file);
    sp_buf_put_cstr(&file, "<sst><si><t>");
    for (int i = 0; i < 200; i++)
        sp_buf_put_cstr(&file, "0123456789");
    ck_assert_int_eq(take(w, "xl/sharedStrings.xml", sp_buf_bytes(&file)), SP_E_LIMIT);
    sp_buf_clear(&file);
}
END_TEST

static void add(TCase *c)
{
    tcase_add_test(c, the_order_of_files_is_all_one);
    tcase_add_loop_test(c, cells_are_written_as_they_are_read, 0, SP_ARRAY_LEN(sheets));
    tcase_add_test(c, days_may_count_from_1904);
    tcase_add_loop_test(c, what_is_no_sheet_is_refused, 0, SP_ARRAY_LEN(foreign));
    tcase_add_test(c, what_was_read_before_a_fault_stays);
    tcase_add_test(c, no_more_is_kept_than_allowed);
    tcase_add_loop_test(c, what_no_table_takes_is_text, 0, SP_ARRAY_LEN(hidden));
    tcase_add_test(c, a_text_is_not_shown_without_end);
}

SP_TEST_MAIN("mime.workbook", add)
