#include "proto/frame.h"

#include "base/mem.h"
#include "cambrian.pb-c.h"

#include "../unit.h"

#include <string.h>

static void pack_hello(uint64_t request_id, uint8_t **bytes, size_t *size)
{
    struct cam_err err = {0};
    Cam__Hello hello = CAM__HELLO__INIT;
    Cam__Envelope envelope = CAM__ENVELOPE__INIT;
    hello.protocol_version = PROTOCOL_VERSION;
    envelope.request_id = request_id;
    envelope.body_case = CAM__ENVELOPE__BODY_HELLO;
    envelope.hello = &hello;
    ASSERT_OK(frame_pack(&envelope, bytes, size, &err), err);
}

/* Three envelopes arrive in pieces of every length from one byte to all at once. */
static void any_cut_of_the_stream(void **state)
{
    (void)state;
    struct cam_err err = {0};
    uint8_t stream[256];
    size_t stream_size = 0;
    for (uint64_t id = 1; id <= 3; id++) {
        uint8_t *bytes = NULL;
        size_t size = 0;
        pack_hello(id, &bytes, &size);
        memcpy(stream + stream_size, bytes, size);
        stream_size += size;
        cam_free(bytes);
    }
    for (size_t piece = 1; piece <= stream_size; piece++) {
        struct frame_reader reader = {0};
        uint64_t expected = 1;
        for (size_t at = 0; at < stream_size; at += piece) {
            size_t size = stream_size - at < piece ? stream_size - at : piece;
            ASSERT_OK(frame_reader_add(&reader, stream + at, size, &err), err);
            for (;;) {
                Cam__Envelope *envelope = NULL;
                ASSERT_OK(frame_reader_next(&reader, &envelope, &err), err);
                if (envelope == NULL) {
                    break;
                }
                assert_int_equal(expected++, envelope->request_id);
                cam__envelope__free_unpacked(envelope, NULL);
            }
        }
        assert_int_equal(4, expected);
        frame_reader_release(&reader);
    }
}

static void bad_frames_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[8];
        size_t size;
    } CASES[] = {
        {{0, 0, 0, 0}, 4},                   /* empty */
        {{1, 0, 64, 0}, 4},                  /* one byte more than allowed */
        {{255, 255, 255, 255}, 4},           /* 4 GiB */
        {{4, 0, 0, 0, 255, 255, 255, 7}, 8}, /* no envelope */
    };
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        struct cam_err err = {0};
        struct frame_reader reader = {0};
        Cam__Envelope *envelope = NULL;
        enum cam_code rc = frame_reader_add(&reader, CASES[i].bytes, CASES[i].size, &err);
        if (rc == CAM_OK) {
            rc = frame_reader_next(&reader, &envelope, &err);
        }
        assert_int_equal(CAM_PROTOCOL, rc);
        assert_null(envelope);
        frame_reader_release(&reader);
    }
}

int main(void)
{
    static const struct CMUnitTest TESTS[] = {
        cmocka_unit_test(any_cut_of_the_stream),
        cmocka_unit_test(bad_frames_are_refused),
    };
    return cmocka_run_group_tests(TESTS, NULL, NULL);
}
