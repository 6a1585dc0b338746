/* Verifies signatures of four kinds with OpenSSL's libcrypto. The payload is what was signed; the headers are
 *
 *     scheme      rsa-pkcs1, rsa-pss, ecdsa (each over SHA-256) or ed25519
 *     key         the public key, PEM
 *     signature   the signature, base64
 *
 * and the result is "valid" or "invalid". What cannot be verified at all fails the job, and nothing is gained by trying
 * again.
 *
 *     make libverify.so && forebay worker --load ./libverify.so
 *     openssl genpkey -algorithm ed25519 -out key.pem && openssl pkey -in key.pem -pubout -out pub.pem
 *     openssl pkeyutl -sign -rawin -inkey key.pem -in FILE | base64 -w0 > FILE.sig
 *     forebay call verify FILE -H scheme=ed25519 -H "key=$(cat pub.pem)" -H "signature=$(cat FILE.sig)" */
#include <forebay.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <stdio.h>
#include <string.h>

/* The longest signature: of an RSA key of 16384 bits. */
#define SIGNATURE_MAX 2048

typedef struct {
    const char *name;
    int key_type;
    const char *digest; /* NULL: the scheme has its own */
    int padding;        /* 0: it has none */
} scheme_t;

static const scheme_t schemes[] = {
    {"rsa-pkcs1", EVP_PKEY_RSA, "SHA256", RSA_PKCS1_PADDING},
    {"rsa-pss", EVP_PKEY_RSA, "SHA256", RSA_PKCS1_PSS_PADDING},
    {"ecdsa", EVP_PKEY_EC, "SHA256", 0},
    {"ed25519", EVP_PKEY_ED25519, NULL, 0},
};

/* What each thread has of its own: libcrypto's place to work in. */
static int32_t thread_init(void *process, uint32_t slot, void **thread, char *why, size_t why_cap) {
    (void)process, (void)slot;
    *thread = EVP_MD_CTX_new();
    if (*thread != NULL) return 0;
    snprintf(why, why_cap, "no memory");
    return 1;
}

static void thread_fini(void *process, void *thread) {
    (void)process;
    EVP_MD_CTX_free(thread);
}

static const scheme_t *scheme_of(const forebay_job_t *job) {
    size_t len;
    const char *name = forebay_job_header(job, "scheme", &len);
    for (size_t i = 0; name != NULL && i < sizeof schemes / sizeof *schemes; i++)
        if (len == strlen(schemes[i].name) && memcmp(name, schemes[i].name, len) == 0) return &schemes[i];
    return NULL;
}

/* The public key of the job if it is one for this scheme, or NULL. Free it with EVP_PKEY_free. */
static EVP_PKEY *key_of(const forebay_job_t *job, const scheme_t *scheme) {
    size_t len;
    const char *pem = forebay_job_header(job, "key", &len);
    BIO *text = pem != NULL && len <= INT32_MAX ? BIO_new_mem_buf(pem, (int)len) : NULL;
    EVP_PKEY *key = text != NULL ? PEM_read_bio_PUBKEY(text, NULL, NULL, NULL) : NULL;
    BIO_free(text);
    if (key != NULL && EVP_PKEY_base_id(key) != scheme->key_type) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    return key;
}

/* The signature's bytes; their number, or -1. */
static int signature_of(const forebay_job_t *job, unsigned char *signature) {
    size_t len;
    const char *text = forebay_job_header(job, "signature", &len);
    if (text == NULL || len == 0 || len % 4 != 0 || len / 4 * 3 > SIGNATURE_MAX) return -1;
    int bytes = EVP_DecodeBlock(signature, (const unsigned char *)text, (int)len);
    for (size_t i = len; bytes > 0 && i > len - 2 && text[i - 1] == '='; i--) bytes--; /* it counts the padding too */
    return bytes;
}

/* 1: valid; 0: invalid; -1: this could not be found out. */
static int verify(EVP_MD_CTX *context, const scheme_t *scheme, EVP_PKEY *key, const unsigned char *signature,
                  size_t signature_len, const void *message, size_t len) {
    EVP_PKEY_CTX *how;
    if (EVP_DigestVerifyInit_ex(context, &how, scheme->digest, NULL, NULL, key, NULL) != 1) return -1;
    if (scheme->padding != 0 && EVP_PKEY_CTX_set_rsa_padding(how, scheme->padding) != 1) return -1;
    return EVP_DigestVerify(context, signature, signature_len, message, len) == 1;
}

static void refuse(forebay_job_t *job, const char *code, const char *message) {
    forebay_job_fail(job, FOREBAY_RETRY_NEVER, code, message, NULL, NULL);
}

static int32_t handle(forebay_job_t *job, void *process, void *thread) {
    unsigned char signature[SIGNATURE_MAX + 3];
    const scheme_t *scheme = scheme_of(job);
    EVP_PKEY *key = NULL;
    int signature_len, is_valid;
    size_t len;
    const void *message = forebay_job_payload(job, &len);
    (void)process;

    if (scheme == NULL)
        refuse(job, "unknown_scheme", "the header scheme has to be rsa-pkcs1, rsa-pss, ecdsa or ed25519");
    else if ((key = key_of(job, scheme)) == NULL)
        refuse(job, "bad_key", "the header key has to be a public key in PEM, of the scheme's kind");
    else if ((signature_len = signature_of(job, signature)) < 0)
        refuse(job, "bad_signature", "the header signature has to be base64 of at most 2048 bytes");
    else if ((is_valid = verify(thread, scheme, key, signature, (size_t)signature_len, message, len)) < 0)
        refuse(job, "not_verified", "libcrypto cannot verify this");
    else
        forebay_job_complete(job, is_valid ? "valid" : "invalid", is_valid ? 5 : 7, NULL);

    EVP_PKEY_free(key);
    EVP_MD_CTX_reset(thread);
    ERR_clear_error();
    return 0;
}

const forebay_plugin_t *forebay_plugin_v1(void) {
    static const char *const queues[] = {"verify", NULL};
    static const forebay_plugin_t plugin = {.struct_size = sizeof plugin,
                                            .abi = FOREBAY_PLUGIN_ABI,
                                            .name = "verify",
                                            .queues = queues,
                                            .thread_init = thread_init,
                                            .thread_fini = thread_fini,
                                            .handle = handle};
    return &plugin;
}
