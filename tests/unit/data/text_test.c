/* Text: tokens, windows, the split, the vocabulary, and each way in which a file can be wrong. */
#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/text-test-XXXXXX";
static char path[CAM_PATH_SIZE];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(path, sizeof path, "%s/input.txt", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return cam_folder_remove(folder, NULL) == CAM_OK ? 0 : -1;
}

static void put(const void *bytes, size_t size)
{
    (void)unlink(path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static struct data_spec spec_of(int64_t length, double split)
{
    return (struct data_spec){.format = DATA_TEXT, .path = path, .length = length, .split = split};
}

static struct source *open_loaded(const struct data_spec *spec)
{
    struct source *source = NULL;
    struct cam_err err = {0};
    ASSERT_OK(source_open(spec, &source, &err), err);
    ASSERT_OK(source_load(source, &err), err);
    return source;
}

static void expect_window(const struct source *source, int64_t index, const float *expected,
                          int64_t length)
{
    float values[8];
    float labels[8];
    struct cam_err err = {0};
    ASSERT_OK(source_read(source, index, values, labels, &err), err);
    for (int64_t i = 0; i < length; i++) {
        assert_true(values[i] == expected[i]);
        assert_true(labels[i] == expected[i + 1]);
    }
}

/* 10 characters, of which é has 2 bytes and 𝄞 4; sorted: a b c é 𝄞. */
static const char TEN[] = "abcé𝄞cbaab";

static void test_characters_and_windows(void **state)
{
    (void)state;
    put(TEN, sizeof TEN - 1);
    struct data_spec spec = spec_of(2, 0.7);
    struct source *source = open_loaded(&spec);
    const struct source_info *info = source_info(source);
    assert_int_equal(info->length, 2);
    assert_int_equal(info->classes, 5);
    assert_int_equal(info->count, 3); /* tokens 0-6: at 0, 2, 4 */
    assert_int_equal(info->validation_count, 1);
    expect_window(source, 0, (const float[]){0, 1, 2}, 2);
    expect_window(source, 2, (const float[]){4, 2, 1}, 2);
    expect_window(source, 3, (const float[]){0, 0, 1}, 2);
    char *vocabulary = NULL;
    struct cam_err err = {0};
    ASSERT_OK(source_vocabulary(source, &vocabulary, &err), err);
    assert_string_equal(vocabulary,
                        "{\"kind\":\"characters\",\"tokens\":[\"a\",\"b\",\"c\",\"é\",\"𝄞\"]}");
    cam_free(vocabulary);
    source_close(source);

    spec.stride = 1;
    spec.split = 1;
    source = open_loaded(&spec);
    assert_int_equal(source_info(source)->count, 8);
    assert_int_equal(source_info(source)->validation_count, 0);
    expect_window(source, 7, (const float[]){0, 0, 1}, 2);
    source_close(source);
}

static void test_bytes_take_any_file(void **state)
{
    (void)state;
    put("\xFF\x00\x80z", 4);
    struct data_spec spec = spec_of(3, 1);
    spec.vocabulary = VOCABULARY_BYTES;
    struct source *source = open_loaded(&spec);
    assert_int_equal(source_info(source)->classes, 256);
    expect_window(source, 0, (const float[]){255, 0, 128, 'z'}, 3);
    source_close(source);
}

/* A character that a piece of the file cuts, at each of its bytes. */
static void test_characters_across_pieces(void **state)
{
    (void)state;
    enum { PIECE = 64 * 1024 };
    char *bytes = cam_alloc(PIECE + 16, 1);
    assert_non_null(bytes);
    for (size_t before = PIECE - 4; before <= PIECE; before++) {
        memset(bytes, 'a', before);
        memcpy(bytes + before, "𝄞b", 5);
        put(bytes, before + 5);
        struct data_spec spec = spec_of(2, 1);
        spec.stride = 1;
        struct source *source = open_loaded(&spec);
        assert_int_equal(source_info(source)->count, before);
        expect_window(source, (int64_t)before - 1, (const float[]){0, 2, 1}, 2);
        source_close(source);
    }
    cam_free(bytes);
}

static void expect_refusal(const struct data_spec *spec, enum cam_code code, const char *words)
{
    struct source *source = NULL;
    struct cam_err err = {0};
    assert_int_equal(source_open(spec, &source, &err), code);
    if (strstr(err.text, words) == NULL || strstr(err.text, path) == NULL) {
        fail_msg("'%s' in: %s", words, err.text);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    struct data_spec spec = spec_of(4, 0.5);
    put("", 0);
    expect_refusal(&spec, CAM_INVALID, "is empty");
    put("abcdefgh", 8);
    expect_refusal(&spec, CAM_INVALID, "4 characters to train on, data.length 4 needs at least 5");
    spec.split = 0.8;
    expect_refusal(&spec, CAM_INVALID, "leaves 2 characters for validation");
    static const struct {
        const char *bytes;
        const char *words;
    } BAD[] = {
        {"ab\xFF", "byte 2 (ff) is not UTF-8"}, {"a\xC0\xAF", "byte 1 (c0)"},
        {"\xE0\x80\xAF", "byte 0 (e0)"},        {"abc\xED\xA0\x80", "byte 3 (ed)"},
        {"\xF4\x90\x80\x80", "byte 0 (f4)"},    {"abc\xE2\x82", "byte 3 (e2)"},
        {"abc\xE2\x82x", "byte 3 (e2)"},        {"\x80", "byte 0 (80)"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        put(BAD[i].bytes, strlen(BAD[i].bytes));
        expect_refusal(&spec, CAM_CORRUPT, BAD[i].words);
    }
    (void)unlink(path);
    expect_refusal(&spec, CAM_NOT_FOUND, "cannot open");
}

static void test_a_file_that_changes(void **state)
{
    (void)state;
    struct data_spec spec = spec_of(2, 1);
    struct source *source = NULL;
    struct cam_err err = {0};
    static const char *const OTHERS[] = {"abcd", "abcdef", "abcdz"};
    for (size_t i = 0; i < sizeof OTHERS / sizeof OTHERS[0]; i++) {
        put("abcde", 5);
        ASSERT_OK(source_open(&spec, &source, &err), err);
        put(OTHERS[i], strlen(OTHERS[i]));
        assert_int_equal(source_load(source, &err), CAM_CHANGED);
        source_close(source);
    }
}

/* Which glyphs are kept out depends on their number alone; none is in both. */
static void test_validation_fraction(void **state)
{
    (void)state;
    enum { COUNT = 40, PIXELS = 28 * 28 };
    static float whole[COUNT][PIXELS];
    bool seen[COUNT] = {false};
    float label = 0;
    struct cam_err err = {0};
    struct data_spec spec = {.format = DATA_GLYPHS, .count = COUNT, .seed = 1};
    struct source *source = open_loaded(&spec);
    for (int i = 0; i < COUNT; i++) {
        ASSERT_OK(source_read(source, i, whole[i], &label, &err), err);
    }
    source_close(source);
    spec.validation_fraction = 0.25;
    source = open_loaded(&spec);
    assert_int_equal(source_info(source)->count, 30);
    assert_int_equal(source_info(source)->validation_count, 10);
    bool mixed = false;
    for (int i = 0; i < COUNT; i++) {
        float pixels[PIXELS];
        ASSERT_OK(source_read(source, i, pixels, &label, &err), err);
        int k = 0;
        while (k < COUNT && memcmp(pixels, whole[k], sizeof pixels) != 0) {
            k++;
        }
        assert_in_range(k, 0, COUNT - 1);
        assert_false(seen[k]);
        seen[k] = true;
        mixed = mixed || (i >= 30 && k < 30);
    }
    assert_true(mixed);
    source_close(source);
    struct source *none = NULL;
    spec.validation_fraction = 0.01;
    assert_int_equal(source_open(&spec, &none, &err), CAM_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_and_windows),   cmocka_unit_test(test_bytes_take_any_file),
        cmocka_unit_test(test_characters_across_pieces), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_file_that_changes),      cmocka_unit_test(test_validation_fraction),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
