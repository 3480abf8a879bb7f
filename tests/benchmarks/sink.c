/* An S3 endpoint that costs next to nothing, so that a benchmark measures its client: one thread for each connection,
 * bodies thrown away inside the kernel (MSG_TRUNC, see tcp(7)), fixed answers. It checks nothing and signs nothing: it
 * is no test of correctness, and it listens on loopback only. It answers STS as well, so that a role can be assumed.
 *
 *   sink [folder [milliseconds]]    prints its port and serves until it is ended, or whoever started it has ended.
 *
 * With a folder that is not empty, the body of request number N goes to folder/N and its method, target and content encoding to
 * folder/N.head: a test reads there what a client sent. "GET /?counts" answers how many requests and bytes came.
 * With milliseconds, a body of more than 1 MiB is answered so much later, as by a bucket that is far away.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { HEAD_BYTES = 64 * 1024, KEEP_BYTES = 256 * 1024, ANSWER_BYTES = 4096, LARGE_BYTES = 1024 * 1024 };

static const char *folder;
static useconds_t wait_microseconds;
static atomic_long requests, body_bytes;

/* One connection: what was read and not yet used lies in data[start..end). */
struct connection {
    int socket;
    size_t start, end;
    char data[HEAD_BYTES + 1];
};

struct request {
    long number, length;
    int expects_continue;
    char method[16], target[2048], encoding[64];
};

static int send_all(int socket, const char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(socket, data, size, MSG_NOSIGNAL);
        if (sent <= 0) return 0;
        data += sent;
        size -= (size_t)sent;
    }
    return 1;
}

/* The value of a header, copied into value; empty where there is none. */
static void header(const char *head, const char *name, char *value, size_t size) {
    value[0] = 0;
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r'; line = strstr(line + 2, "\r\n")) {
        const char *text = line + 2;
        size_t length = strlen(name);
        if (strncasecmp(text, name, length) || text[length] != ':') continue;
        text += length + 1;
        while (*text == ' ') text++;
        snprintf(value, size, "%.*s", (int)strcspn(text, "\r"), text);
        return;
    }
}

/* Read a request's head. The request line and all headers fit into 64 KiB, or the connection ends. */
static int read_head(struct connection *c, struct request *r) {
    char *stop;
    memmove(c->data, c->data + c->start, c->end - c->start);
    c->end -= c->start;
    c->start = 0;
    c->data[c->end] = 0;
    while (!(stop = strstr(c->data, "\r\n\r\n"))) {
        ssize_t got = c->end < HEAD_BYTES ? recv(c->socket, c->data + c->end, HEAD_BYTES - c->end, 0) : 0;
        if (got <= 0) return 0;
        c->end += (size_t)got;
        c->data[c->end] = 0;
    }
    char length[32], expect[32], saved = stop[3];
    stop[3] = 0;
    if (sscanf(c->data, "%15s %2047s", r->method, r->target) != 2) return 0;
    header(c->data, "content-length", length, sizeof length);
    header(c->data, "content-encoding", r->encoding, sizeof r->encoding);
    header(c->data, "expect", expect, sizeof expect);
    stop[3] = saved;
    r->length = atol(length);
    r->expects_continue = !strcasecmp(expect, "100-continue");
    r->number = atomic_fetch_add(&requests, 1);
    c->start = (size_t)(stop - c->data) + 4;
    return 1;
}

static FILE *keep(const struct request *r) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%ld.head", folder, r->number);
    FILE *file = fopen(path, "w");
    if (file) {
        fprintf(file, "%s %s %s\n", r->method, r->target, r->encoding);
        fclose(file);
    }
    snprintf(path, sizeof path, "%s/%ld", folder, r->number);
    return fopen(path, "w");
}

/* Take the body. One that fits into small is read there, since STS says in the body what it is asked. */
static int read_body(struct connection *c, const struct request *r, char *small, size_t size) {
    size_t left = (size_t)r->length, have = c->end - c->start;
    if (have > left) have = left;
    const char *first = c->data + c->start;
    c->start += have;
    left -= have;
    if (left && r->expects_continue && !have) send_all(c->socket, "HTTP/1.1 100 Continue\r\n\r\n", 25);

    int fits = r->length < (long)size;
    char *buffer = fits ? small + have : folder ? malloc(KEEP_BYTES) : NULL;
    FILE *file = folder ? keep(r) : NULL;
    if (file) fwrite(first, 1, have, file);
    if (fits) memcpy(small, first, have);
    small[fits ? r->length : 0] = 0;
    while (left > 0) {
        size_t want = buffer && left > KEEP_BYTES ? KEEP_BYTES : left;
        ssize_t got = recv(c->socket, buffer, want, buffer ? 0 : MSG_TRUNC);
        if (got <= 0) break;
        if (file) fwrite(buffer, 1, (size_t)got, file);
        if (fits) buffer += got;
        left -= (size_t)got;
    }
    if (file) fclose(file);
    if (!fits) free(buffer);
    atomic_fetch_add(&body_bytes, r->length);
    return left == 0;
}

static int answer(struct connection *c, const struct request *r, const char *status, const char *body) {
    char text[ANSWER_BYTES];
    int without = !strcmp(r->method, "HEAD");
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 %s\r\nx-amz-request-id: %ld\r\nx-amz-bucket-region: eu-central-1\r\nETag: \"%032lx\"\r\n"
                        "Content-Type: application/xml\r\nContent-Length: %zu\r\n\r\n%s",
                        status, r->number, r->number, strlen(body), without ? "" : body);
    return send_all(c->socket, text, (size_t)size);
}

static int answer_sts(struct connection *c, const struct request *r) {
    return answer(c, r, "200 OK",
                  "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult>"
                  "<AssumedRoleUser><Arn>arn:aws:sts::222222222222:assumed-role/DataDumpRole/benchmark</Arn>"
                  "<AssumedRoleId>AROASINK:benchmark</AssumedRoleId></AssumedRoleUser><Credentials>"
                  "<AccessKeyId>ASIASINKSINKSINKSINK</AccessKeyId><SecretAccessKey>sink-of-the-benchmarks</SecretAccessKey>"
                  "<SessionToken>session-of-the-sink</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials>"
                  "</AssumeRoleResult><ResponseMetadata><RequestId>sink</RequestId></ResponseMetadata>"
                  "</AssumeRoleResponse>");
}

/* What S3 answers when nothing was ever stored and everything may be. */
static int reply(struct connection *c, const struct request *r, const char *body) {
    char text[512];
    if (r->length > LARGE_BYTES) usleep(wait_microseconds);
    const char *query = strchr(r->target, '?');
    query = query ? query + 1 : "";
    int in_bucket = strchr(r->target + 1, '/') && !strstr(r->target, "/?");
    if (!strcmp(r->method, "PUT")) return answer(c, r, "200 OK", "");
    if (!strcmp(r->method, "DELETE")) return answer(c, r, "204 No Content", "");
    if (!strcmp(r->method, "POST")) {
        if (strstr(body, "Action=AssumeRole")) return answer_sts(c, r);
        if (!strncmp(query, "uploads", 7)) {
            snprintf(text, sizeof text,
                     "<InitiateMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                     "<UploadId>upload-%ld</UploadId></InitiateMultipartUploadResult>", r->number);
            return answer(c, r, "200 OK", text);
        }
        return answer(c, r, "200 OK",
                      "<CompleteMultipartUploadResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                      "<ETag>&quot;sink&quot;</ETag></CompleteMultipartUploadResult>");
    }
    if (!strcmp(query, "counts")) {
        snprintf(text, sizeof text, "%ld %ld", atomic_load(&requests), atomic_load(&body_bytes));
        return answer(c, r, "200 OK", text);
    }
    if (in_bucket)
        return answer(c, r, "404 Not Found", "<Error><Code>NoSuchKey</Code><Message>a sink keeps nothing</Message></Error>");
    return answer(c, r, "200 OK",
                  "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><KeyCount>0</KeyCount>"
                  "<IsTruncated>false</IsTruncated></ListBucketResult>");
}

static void *serve(void *argument) {
    struct connection *c = argument;
    struct request r;
    char small[8192];
    while (read_head(c, &r) && read_body(c, &r, small, sizeof small) && reply(c, &r, small)) continue;
    close(c->socket);
    free(c);
    return NULL;
}

int main(int count, char **arguments) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    folder = count > 1 && *arguments[1] ? arguments[1] : NULL;
    wait_microseconds = count > 2 ? (useconds_t)atol(arguments[2]) * 1000 : 0;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 1024)) return perror("sink"), 1;
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    for (;;) {
        pthread_t thread;
        struct connection *c = calloc(1, sizeof *c);
        if (!c || (c->socket = accept(listener, NULL, NULL)) < 0) return perror("sink"), 1;
        setsockopt(c->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (pthread_create(&thread, NULL, serve, c)) return perror("sink"), 1;
        pthread_detach(thread);
    }
}
