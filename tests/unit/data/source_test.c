/* IDX files that are right, and each way in which they can be wrong. */
#include "../unit.h"

#include "base/file.h"
#include "base/mem.h"
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/source-test-XXXXXX";
static char images[CAM_PATH_SIZE];
static char labels[CAM_PATH_SIZE];

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return -1;
    }
    (void)snprintf(images, sizeof images, "%s/images", folder);
    (void)snprintf(labels, sizeof labels, "%s/labels", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return cam_folder_remove(folder, NULL) == CAM_OK ? 0 : -1;
}

static void put(const char *path, const void *bytes, size_t size)
{
    (void)unlink(path); /* some file systems flush a file that is truncated and written again */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* 3 images of 2 x 2 and their labels; the first image's bytes are 0, 255, 128, 1. */
static const uint8_t IMAGES[] = {0, 0, 8, 3,   0,   0, 0, 3, 0, 0, 0, 2,  0,  0,
                                 0, 2, 0, 255, 128, 1, 5, 6, 7, 8, 9, 10, 11, 12};
static const uint8_t LABELS[] = {0, 0, 8, 1, 0, 0, 0, 3, 4, 0, 9};
/* IMAGES through `gzip -9n`. */
static const uint8_t IMAGES_GZ[] = {
    31,  139, 8,   0,   0,   0,   0,   0,   2,   3,   99,  96, 224, 96, 102, 96, 96, 0,  97, 38, 48,
    254, 223, 192, 200, 202, 198, 206, 193, 201, 197, 205, 3,  0,   26, 218, 23, 88, 28, 0,  0,  0};

/* The same as two members, cut after the first image. */
static const uint8_t IMAGES_TWO_GZ[] = {
    31,  139, 8,   0,   0,  0,   0,   0,   2,   3,   99, 96, 224, 96,  102, 96,  96, 0, 97, 38, 48,
    254, 223, 192, 8,   0,  29,  229, 254, 80,  20,  0,  0,  0,   31,  139, 8,   0,  0, 0,  0,  0,
    2,   3,   99,  101, 99, 231, 224, 228, 226, 230, 1,  0,  242, 192, 186, 249, 8,  0, 0,  0};

static enum cam_code open_pair(bool with_labels, struct source **out, struct cam_err *err)
{
    struct data_spec spec = {
        .format = DATA_IDX, .images = images, .labels = with_labels ? labels : NULL};
    return source_open(&spec, out, err);
}

static void check_content(void)
{
    struct cam_err err;
    struct source *source = NULL;
    float pixels[4];
    float label = 0;
    ASSERT_OK(open_pair(true, &source, &err), err);
    assert_int_equal(source_info(source)->count, 3);
    assert_int_equal(source_info(source)->height, 2);
    assert_int_equal(source_info(source)->width, 2);
    assert_int_equal(source_info(source)->channels, 1);
    assert_int_equal(source_info(source)->classes, 10);
    ASSERT_OK(source_load(source, &err), err);
    ASSERT_OK(source_read(source, 0, pixels, &label, &err), err);
    assert_int_equal((int)label, 4);
    assert_true(pixels[0] == -1.0F && pixels[1] == 1.0F);
    assert_true(pixels[2] > 0.0039F && pixels[2] < 0.0040F);
    ASSERT_OK(source_read(source, 2, pixels, &label, &err), err);
    assert_int_equal((int)label, 9);
    assert_true(pixels[3] < -0.9F);
    source_close(source);
}

static void test_plain_and_gzipped(void **state)
{
    (void)state;
    put(labels, LABELS, sizeof LABELS);
    put(images, IMAGES, sizeof IMAGES);
    check_content();
    put(images, IMAGES_GZ, sizeof IMAGES_GZ);
    check_content();
    put(images, IMAGES_TWO_GZ, sizeof IMAGES_TWO_GZ);
    check_content();
}

/* One source brings the images, another finds them although the file is damaged by then. */
static void test_shared(void **state)
{
    (void)state;
    char memory[] = "/dev/shm/source-test-XXXXXX";
    struct cam_err err = {0};
    struct source *first = NULL;
    struct source *second = NULL;
    float pixels[4];
    float label = 0;
    assert_non_null(mkdtemp(memory));
    put(labels, LABELS, sizeof LABELS);
    put(images, IMAGES_GZ, sizeof IMAGES_GZ);
    ASSERT_OK(open_pair(true, &first, &err), err);
    ASSERT_OK(open_pair(true, &second, &err), err);
    enum cam_code rc = source_preload(first, memory, &err);
    if (rc == CAM_UNSUPPORTED) {
        print_message("%s\n", err.text);
    } else {
        ASSERT_OK(rc, err);
        put(images, IMAGES_GZ, sizeof IMAGES_GZ - 9);
    }
    source_close(first);
    ASSERT_OK(source_share(second, memory, &err), err);
    ASSERT_OK(source_load(second, &err), err);
    ASSERT_OK(source_read(second, 0, pixels, &label, &err), err);
    assert_int_equal((int)label, 4);
    assert_true(pixels[0] == -1.0F && pixels[1] == 1.0F);
    source_close(second);
    ASSERT_OK(cam_folder_remove(memory, &err), err);
}

static void test_two_and_four_dimensions(void **state)
{
    (void)state;
    static const uint8_t flat[] = {0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
    static const uint8_t colour[] = {0, 0, 8, 4, 0, 0, 0, 1, 0, 0, 0, 1, 0,
                                     0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6};
    struct cam_err err;
    struct source *source = NULL;
    put(images, flat, sizeof flat);
    ASSERT_OK(open_pair(false, &source, &err), err);
    assert_int_equal(source_info(source)->height, 1);
    assert_int_equal(source_info(source)->width, 3);
    assert_int_equal(source_info(source)->classes, 0);
    source_close(source);
    put(images, colour, sizeof colour);
    ASSERT_OK(open_pair(false, &source, &err), err);
    assert_int_equal(source_info(source)->width, 2);
    assert_int_equal(source_info(source)->channels, 3);
    source_close(source);
}

/* Opens and loads; expects the code and the words. */
static void expect_refusal(enum cam_code code, const char *words)
{
    struct cam_err err = {0};
    struct source *source = NULL;
    enum cam_code rc = open_pair(true, &source, &err);
    if (rc == CAM_OK) {
        rc = source_load(source, &err);
        source_close(source);
    }
    assert_int_equal(rc, code);
    if (strstr(err.text, words) == NULL || strstr(err.text, folder) == NULL) {
        fail_msg("expected %s, got %s", words, err.text);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    uint8_t bytes[64];
    put(labels, LABELS, sizeof LABELS);
    (void)unlink(images);
    expect_refusal(CAM_NOT_FOUND, "cannot open");
    put(images, IMAGES, 0);
    expect_refusal(CAM_CORRUPT, "begins with");
    put(images, IMAGES, 7);
    expect_refusal(CAM_CORRUPT, "cut short");
    put(images, IMAGES, sizeof IMAGES - 1);
    expect_refusal(CAM_CORRUPT, "11 bytes of values, its header names 12");
    memcpy(bytes, IMAGES, sizeof IMAGES);
    put(images, bytes, sizeof IMAGES + 1);
    expect_refusal(CAM_CORRUPT, "more bytes than the 12");
    bytes[2] = 13; /* floats */
    put(images, bytes, sizeof IMAGES);
    expect_refusal(CAM_CORRUPT, "begins with 00 00 0d 03, an IDX file of images begins with 00 00 "
                                "08 02..04");
    memcpy(bytes, IMAGES, sizeof IMAGES);
    memset(bytes + 4, 255, 12); /* sizes whose product overflows */
    put(images, bytes, sizeof IMAGES);
    expect_refusal(CAM_CORRUPT, "of more than");
    memset(bytes + 4, 0, 4); /* no images */
    put(images, bytes, sizeof IMAGES);
    expect_refusal(CAM_CORRUPT, "a size of 0");

    put(images, IMAGES, sizeof IMAGES);
    memcpy(bytes, LABELS, sizeof LABELS);
    bytes[7] = 2;
    put(labels, bytes, sizeof LABELS - 1);
    expect_refusal(CAM_INVALID, "2 labels for 3 images");
    put(labels, IMAGES, sizeof IMAGES);
    expect_refusal(CAM_CORRUPT, "an IDX file of labels begins with 00 00 08 01");
    (void)unlink(labels);
    assert_int_equal(symlink(folder, labels), 0);
    expect_refusal(CAM_INVALID, "no regular file");
    (void)unlink(labels);
}

/* What a header names is not taken from memory before it is seen to be there. */
static void test_a_header_may_name_a_tebibyte(void **state)
{
    (void)state;
    static const uint8_t large[] = {0,    0, 8, 3, 0,    0, 0x10, 0, 0, 0,
                                    0x40, 0, 0, 0, 0x40, 0, 1,    2, 3, 4};
    static const uint8_t many[] = {0, 0, 8, 1, 0xff, 0xff, 0xff, 0xff, 1};
    put(images, large, sizeof large);
    put(labels, LABELS, sizeof LABELS);
    expect_refusal(CAM_CORRUPT, "cut short: 4 bytes of values, its header names 1099511627776");
    put(images, IMAGES, sizeof IMAGES);
    put(labels, many, sizeof many);
    expect_refusal(CAM_INVALID, "4294967295 labels for 3 images");
}

static void test_damaged_gzip(void **state)
{
    (void)state;
    uint8_t bytes[sizeof IMAGES_GZ];
    put(labels, LABELS, sizeof LABELS);
    for (size_t cut = 1; cut < sizeof IMAGES_GZ; cut++) {
        struct cam_err err = {0};
        struct source *source = NULL;
        put(images, IMAGES_GZ, cut);
        enum cam_code rc = open_pair(true, &source, &err);
        if (rc == CAM_OK) {
            fail_msg("cut at %zu was not found at open", cut);
        }
        assert_int_equal(rc, CAM_CORRUPT);
        source_close(source);
    }
    memcpy(bytes, IMAGES_GZ, sizeof bytes);
    bytes[sizeof bytes - 8] ^= 1; /* the CRC */
    put(images, bytes, sizeof bytes);
    expect_refusal(CAM_CORRUPT, " of the file: incorrect data check");
    memcpy(bytes, IMAGES_GZ, sizeof bytes);
    bytes[sizeof bytes / 2] ^= 255;
    put(images, bytes, sizeof bytes);
    expect_refusal(CAM_CORRUPT, "damaged gzip data");
}

static void test_identity(void **state)
{
    (void)state;
    struct cam_err err;
    char *first = NULL;
    char *again = NULL;
    struct data_spec spec = {.format = DATA_IDX, .images = images, .labels = NULL};
    put(images, IMAGES, sizeof IMAGES);
    ASSERT_OK(source_identity(&spec, true, &first, &err), err);
    ASSERT_OK(source_identity(&spec, true, &again, &err), err);
    assert_string_equal(first, again);
    assert_non_null(strstr(first, "\"size\":28"));
    assert_non_null(strstr(first, "\"sha256\":\""));
    assert_null(strchr(first, '\n'));
    cam_free(again);
    put(images, IMAGES_GZ, sizeof IMAGES_GZ);
    ASSERT_OK(source_identity(&spec, true, &again, &err), err);
    assert_string_not_equal(first, again);
    cam_free(first);
    cam_free(again);
    (void)unlink(images);
    assert_int_equal(source_identity(&spec, false, &first, &err), CAM_NOT_FOUND);
    spec = (struct data_spec){.format = DATA_GLYPHS, .count = 3, .seed = 4};
    ASSERT_OK(source_identity(&spec, true, &first, &err), err);
    assert_string_equal(
        first, "{\"format\":\"glyphs\",\"version\":1,\"count\":3,\"seed\":4,\"files\":[]}");
    cam_free(first);
}

/* The real set, where there is one: CAMBRIAN_DATA/mnist, or shared/data/mnist beside the tree. */
static void test_mnist(void **state)
{
    (void)state;
    static const char *const TRIED[] = {NULL, "../shared/data", "../../shared/data"};
    char image_path[CAM_PATH_SIZE];
    char label_path[CAM_PATH_SIZE];
    const char *given = getenv("CAMBRIAN_DATA");
    bool found = false;
    for (size_t i = 0; i < sizeof TRIED / sizeof TRIED[0] && !found; i++) {
        const char *root = TRIED[i] != NULL ? TRIED[i] : given != NULL ? given : "/nonexistent";
        (void)snprintf(image_path, sizeof image_path, "%s/mnist/train-images-idx3-ubyte.gz", root);
        (void)snprintf(label_path, sizeof label_path, "%s/mnist/train-labels-idx1-ubyte.gz", root);
        found = access(image_path, R_OK) == 0;
    }
    if (!found) {
        print_message("MNIST is not here: set CAMBRIAN_DATA to the folder that holds mnist/\n");
        skip();
    }
    struct cam_err err;
    struct source *source = NULL;
    struct data_spec spec = {.format = DATA_IDX, .images = image_path, .labels = label_path};
    ASSERT_OK(source_open(&spec, &source, &err), err);
    assert_int_equal(source_info(source)->count, 60000);
    assert_int_equal(source_info(source)->height, 28);
    assert_int_equal(source_info(source)->classes, 10);
    ASSERT_OK(source_load(source, &err), err);
    float pixels[28 * 28];
    float label = -1;
    ASSERT_OK(source_read(source, 59999, pixels, &label, &err), err);
    assert_int_equal((int)label, 8); /* the last training image is an eight */
    source_close(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_and_gzipped),
        cmocka_unit_test(test_two_and_four_dimensions),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_a_header_may_name_a_tebibyte),
        cmocka_unit_test(test_damaged_gzip),
        cmocka_unit_test(test_identity),
        cmocka_unit_test(test_shared),
        cmocka_unit_test(test_mnist),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
