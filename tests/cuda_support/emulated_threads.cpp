// Threads, barriers and shared memory of a GPU on one CPU thread.
//
// Every CUDA thread of a cluster (or of a block that is none) is a fiber. They take turns in a
// ring: a thread runs until it has to wait, then the next one of its warp, block or cluster does.
// When the turn comes round, all have arrived. So a barrier costs one switch a thread, and who
// waits for whom is known: a thread that waits elsewhere, or has ended, is found when the others
// arrive. Waiting for mail is a barrier of the cluster, too, which is more than it is on a GPU.
//
// A launch can take the ring backwards. A read that lacks its barrier finds in one of the two
// directions what was there before: NaN, if nothing was.

#include <sys/mman.h>

#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#if !(defined(__linux__) && defined(__x86_64__)) && !defined(EMULATED_UCONTEXT)
#define EMULATED_UCONTEXT
#endif
#ifdef EMULATED_UCONTEXT
#include <ucontext.h>
#endif

namespace {

constexpr int WARP = 32;
// Not a power of two, lest what all threads use most lies in the same few lines of the caches.
constexpr std::size_t STACK_BYTES = (128 << 10) + 320;
constexpr std::size_t MOST_THREADS = 16 * 1024;    // of a cluster
constexpr std::size_t GUARD_BYTES = 256;           // before, between and after the shared memories
constexpr std::uint16_t GUARD = 0xfffd;            // a NaN in every format, unlike...
constexpr int UNWRITTEN = 0xff;                    // ...the bytes of what nobody wrote, NaN as well
constexpr std::size_t VECTOR_BYTES = 16;
constexpr std::size_t MESSAGE_BYTES = 400;

// Where threads wait; the first ones are `Operation` of emulated_device.hpp.
enum Place { AT_BLOCK = 3, AT_CLUSTER, AT_MAIL, ENDED, NOT_STARTED };
constexpr const char* PLACES[] = {"exchange of int", "exchange of float", "exchange of double",
                                  "block_sync", "cluster_wait", "wait_for_mail",
                                  "its end", "its start"};

// Fibers --------------------------------------------------------------------------------------

#ifdef EMULATED_UCONTEXT
typedef ucontext_t Context;
inline void switch_to(Context& from, Context& to) { swapcontext(&from, &to); }
#else
typedef void* Context;    // the stack pointer; all else lies on the stack
extern "C" void emulated_switch(Context* from, Context to);
inline void switch_to(Context& from, Context& to) { emulated_switch(&from, to); }
// What a call must keep in the System V ABI. The rounding mode is the same in all fibers.
asm(R"(
.text
.p2align 4
emulated_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
)");
#endif

struct Block {
    long long index;
    unsigned char* shared;
    int ended;                 // threads
};

struct Copy {
    void* shared;
    const void* global;
};

struct Letter {
    unsigned char* slot;
    double value;
};

// What is kept in a mailbox, 8 bytes of shared memory.
struct Mail {
    std::int32_t missing;      // bytes that are expected and have not come
    std::uint16_t waited;      // threads of its block that have what came last
    std::uint8_t turn;         // of what comes next
    std::uint8_t state;        // of these, or UNWRITTEN
};
enum MailState { OPEN = 1, EXPECTING = 2 };

struct Thread {
    Context context;
    Block* block;
    int index, rank;           // in the block; of the block in the cluster
    Thread *warp, *next_of_warp;    // in the order of the ring: the first one, the next one
    Thread *first_of_block, *next_of_block, *next_of_cluster;
    int place;
    unsigned exchanges;
    bool arrived;              // at the cluster's barrier
    std::uint64_t passed[2];   // in the last exchanges: who is ahead is ahead by one
    std::vector<Copy> copies;
};

struct Launch {
    void (*kernel)(const void*);
    const void* argument;
    int threads, cluster;
    std::size_t shared_bytes;
    bool backwards;
};

Launch launch;
std::vector<Thread> threads;
std::vector<Block> blocks;
std::vector<unsigned char> memory;
std::vector<Letter> letters;   // sent, and not delivered
unsigned char* stacks;
Context outside;
Thread* running;
char message[MESSAGE_BYTES];

// Leave the launch: the fibers are abandoned where they are.
[[noreturn]] void fail(const char* format, ...) {
    char text[MESSAGE_BYTES / 2];
    va_list values;
    va_start(values, format);
    std::vsnprintf(text, sizeof text, format, values);
    va_end(values);
    std::snprintf(message, sizeof message, "thread %d of block %lld: %s", running->index,
                  running->block->index, text);
    switch_to(running->context, outside);
    __builtin_unreachable();
}

// The stack of the thread at a place in the ring. All are one mapping: a process has 65530, so
// guard pages between so many stacks would leave none for its libraries.
unsigned char* stack_of(std::size_t place) { return stacks + place * STACK_BYTES; }

bool has_stacks() {
    if (stacks != nullptr) return true;
    void* found = mmap(nullptr, MOST_THREADS * STACK_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (found == MAP_FAILED) return false;
    stacks = static_cast<unsigned char*>(found);
    return true;
}

void run_next(Thread* next) {
    Thread* me = running;
    // Frames have sizes known when they are compiled, and the deepest call waits: a thread that
    // leaves half of its stack alone whenever it waits does not overflow it in between.
    const unsigned char* frame = static_cast<unsigned char*>(__builtin_frame_address(0));
    if (frame < stack_of(me - threads.data()) + STACK_BYTES / 2) fail("overflows its stack");
    running = next;
    switch_to(me->context, next->context);
}

// Fail unless `first`, whose turn came before, waits in the same place. (It has been there as
// often: the turns before this one ended in meetings, too.)
void meet(const Thread* first) {
    const Thread* me = running;
    if (first->place != me->place) {
        fail("is at %s, but thread %d of block %lld is at %s", PLACES[me->place], first->index,
             first->block->index, PLACES[first->place]);
    }
}

void end_thread() {
    Thread* me = running;
    me->place = ENDED;
    if (!me->copies.empty()) fail("ended without waiting for its copies");
    if (me->arrived) fail("ended without waiting for its cluster");
    if (!letters.empty()) fail("ended without waiting for mail");
    for (const Thread* first : {me->warp, me->first_of_block, threads.data()}) {
        if (first->place != ENDED) {
            fail("ended, but thread %d of block %lld waits at %s", first->index,
                 first->block->index, PLACES[first->place]);
        }
    }
    ++me->block->ended;
    if (me->next_of_cluster != threads.data()) {
        run_next(me->next_of_cluster);
    } else {
        switch_to(me->context, outside);
    }
}

void begin_thread() {
    launch.kernel(launch.argument);
    end_thread();
}

void prepare(Context& context, unsigned char* stack) {
#ifdef EMULATED_UCONTEXT
    getcontext(&context);
    context.uc_stack.ss_sp = stack;
    context.uc_stack.ss_size = STACK_BYTES;
    context.uc_link = nullptr;
    makecontext(&context, begin_thread, 0);
#else
    // Six registers, where to return to, and the place of a return address that nobody uses: the
    // ABI wants the stack 8 bytes off a multiple of 16 where a function begins.
    void** top = reinterpret_cast<void**>(stack + STACK_BYTES) - 8;
    std::memset(top, 0, 8 * sizeof *top);
    top[6] = reinterpret_cast<void*>(begin_thread);
    context = top;
#endif
}

std::size_t spacing() { return launch.shared_bytes + GUARD_BYTES; }

bool guards_kept() {
    for (int i = 0; i <= launch.cluster; ++i) {
        const unsigned char* zone = memory.data() + i * spacing();
        for (std::size_t at = 0; at < GUARD_BYTES; at += sizeof GUARD) {
            if (std::memcmp(zone + at, &GUARD, sizeof GUARD) != 0) return false;
        }
    }
    return true;
}

// Run the blocks of one cluster, the first of them `first_block`.
bool run_cluster(long long first_block) {
    int count = launch.threads * launch.cluster;
    for (int rank = 0; rank < launch.cluster; ++rank) {
        unsigned char* shared = memory.data() + rank * spacing() + GUARD_BYTES;
        blocks[rank] = {first_block + rank, shared, 0};
        std::memset(shared, UNWRITTEN, launch.shared_bytes);
    }
    for (int i = 0; i <= launch.cluster; ++i) {
        unsigned char* zone = memory.data() + i * spacing();
        for (std::size_t at = 0; at < GUARD_BYTES; at += sizeof GUARD) {
            std::memcpy(zone + at, &GUARD, sizeof GUARD);
        }
    }
    Thread* ring = threads.data();
    for (int at = 0; at < count; ++at) {
        Thread& thread = ring[at];
        int number = launch.backwards ? count - 1 - at : at;
        int in_block = at % launch.threads, in_warp = at % WARP;
        thread.index = number % launch.threads;
        thread.rank = number / launch.threads;
        thread.block = &blocks[thread.rank];
        thread.warp = ring + at - in_warp;
        thread.next_of_warp = in_warp == WARP - 1 ? thread.warp : &thread + 1;
        thread.first_of_block = ring + at - in_block;
        thread.next_of_block =
            in_block == launch.threads - 1 ? thread.first_of_block : &thread + 1;
        thread.next_of_cluster = at == count - 1 ? ring : &thread + 1;
        thread.place = NOT_STARTED;
        thread.exchanges = 0;
        thread.arrived = false;
        thread.copies.clear();
        prepare(thread.context, stack_of(at));
    }
    letters.clear();
    message[0] = 0;
    running = ring;
    switch_to(outside, ring->context);
    if (message[0] == 0 && !guards_kept()) {
        std::snprintf(message, sizeof message,
                      "a block of blocks %lld to %lld wrote beside its shared memory", first_block,
                      first_block + launch.cluster - 1);
    }
    return message[0] == 0;
}

// Whether `bytes` at `address` are aligned for it and lie in the running block's shared memory.
bool in_shared_memory(const void* address, std::size_t bytes) {
    std::uintptr_t at = reinterpret_cast<std::uintptr_t>(address);
    std::uintptr_t base = reinterpret_cast<std::uintptr_t>(running->block->shared);
    return at % bytes == 0 && at >= base && at + bytes <= base + launch.shared_bytes;
}

Mail* mail_of(std::uint64_t* box) {
    if (!in_shared_memory(box, sizeof *box)) fail("has a mailbox outside its shared memory");
    return reinterpret_cast<Mail*>(box);
}

// The mailbox of a block of the cluster, at the place of this block's.
Mail* opened(std::uint64_t* box, int rank) {
    if (rank < 0 || rank >= launch.cluster) {
        fail("sends to block %d of a cluster of %d", rank, launch.cluster);
    }
    const Block& block = blocks[rank];
    unsigned char* there = reinterpret_cast<unsigned char*>(mail_of(box));
    Mail* mail = reinterpret_cast<Mail*>(there - running->block->shared + block.shared);
    if (mail->state == UNWRITTEN) fail("uses mail that block %lld has not opened", block.index);
    return mail;
}

}  // namespace

// What emulated_device.hpp calls --------------------------------------------------------------

#pragma GCC visibility push(default)
extern "C" {

int emulated_thread_index() { return running->index; }
int emulated_block_threads() { return launch.threads; }
long long emulated_block_index() { return running->block->index; }
int emulated_cluster_rank() { return running->rank; }
unsigned char* emulated_shared_memory() { return running->block->shared; }

std::uint64_t emulated_exchange(int operation, std::uint64_t value, int from) {
    Thread* me = running;
    if (from < 0 || from >= WARP) fail("asks lane %d of 32 for its value", from);
    unsigned round = ++me->exchanges;
    me->passed[round & 1] = value;
    me->place = operation;
    meet(me->warp);
    run_next(me->next_of_warp);
    return me->warp[launch.backwards ? WARP - 1 - from : from].passed[round & 1];
}

void emulated_block_sync() {
    Thread* me = running;
    me->place = AT_BLOCK;
    meet(me->warp);
    meet(me->first_of_block);
    run_next(me->next_of_block);
}

void emulated_cluster_arrive() {
    if (running->arrived) fail("arrives twice at the cluster's barrier");
    running->arrived = true;
}

void emulated_cluster_wait() {
    Thread* me = running;
    if (!me->arrived) fail("waits for its cluster without arriving");
    me->arrived = false;
    me->place = AT_CLUSTER;
    meet(me->warp);
    meet(me->first_of_block);
    meet(threads.data());
    run_next(me->next_of_cluster);
}

void emulated_open_mail(std::uint64_t* box) {
    if (mail_of(box)->state != UNWRITTEN) fail("opens a mailbox twice");
    *mail_of(box) = {0, 0, 0, OPEN};
}

void emulated_expect_mail(std::uint64_t* box, int bytes) {
    Mail* mail = opened(box, running->rank);
    if (mail->state == EXPECTING) fail("expects more mail before what it expects has come");
    if (mail->waited != 0) fail("expects mail before its block has waited for the last");
    mail->state = EXPECTING;
    mail->missing += bytes;
}

// It is on its way until all threads of the cluster wait for mail; the slot is lost at once.
void emulated_send_mail(std::uint64_t* box, double* slot, double value, int rank) {
    Mail* mail = opened(box, rank);
    if (blocks[rank].ended) fail("sends to block %lld, which has ended", blocks[rank].index);
    if (!in_shared_memory(slot, sizeof *slot)) fail("sends to what is not shared memory");
    unsigned char* there = reinterpret_cast<unsigned char*>(slot) - running->block->shared +
                           blocks[rank].shared;
    std::memset(there, UNWRITTEN, sizeof *slot);
    mail->missing -= static_cast<std::int32_t>(sizeof *slot);
    letters.push_back({there, value});
}

void emulated_wait_for_mail(std::uint64_t* box, int turn) {
    Thread* me = running;
    me->place = AT_MAIL;
    meet(me->warp);
    meet(me->first_of_block);
    meet(threads.data());
    if (me->next_of_cluster == threads.data()) {
        for (const Letter& letter : letters) {
            std::memcpy(letter.slot, &letter.value, sizeof letter.value);
        }
        letters.clear();
    }
    run_next(me->next_of_cluster);
    Mail* mail = opened(box, me->rank);
    if (mail->waited == 0) {
        // The first thread of the block that goes on.
        if (mail->state != EXPECTING) fail("waits for mail that it does not expect");
        if (mail->missing != 0) fail("waits for mail of which %d bytes never come", mail->missing);
        mail->state = OPEN;
        mail->turn ^= 1;
    }
    if (turn == mail->turn) fail("waits for mail out of turn");
    mail->waited = (mail->waited + 1) % launch.threads;
}

void emulated_start_copy(void* shared, const void* global) {
    if (!in_shared_memory(shared, VECTOR_BYTES)) {
        fail("copies to %p, which is not 16 aligned bytes of its shared memory", shared);
    }
    if (reinterpret_cast<std::uintptr_t>(global) % VECTOR_BYTES != 0) {
        fail("copies from %p, which is not aligned to 16 bytes", global);
    }
    std::memset(shared, UNWRITTEN, VECTOR_BYTES);
    running->copies.push_back({shared, global});
}

void emulated_wait_for_copies() {
    for (const Copy& copy : running->copies) std::memcpy(copy.shared, copy.global, VECTOR_BYTES);
    running->copies.clear();
}

// Run `grid` blocks, `cluster` at a time; what went wrong, or null.
const char* emulated_launch(
    void* kernel, const void* argument, long long grid, int block, long long shared_bytes,
    int cluster, int backwards) {
    launch = {reinterpret_cast<void (*)(const void*)>(kernel), argument, block, cluster,
              static_cast<std::size_t>(shared_bytes), backwards != 0};
    std::size_t count = static_cast<std::size_t>(block) * cluster;
    if (count > MOST_THREADS || !has_stacks()) return "no memory for the threads' stacks";
    if (threads.size() < count) threads.resize(count);
    blocks.resize(cluster);
    // 256-byte guards and 16-byte regions keep the alignment that the allocator gives.
    memory.resize((cluster + 1) * GUARD_BYTES + cluster * launch.shared_bytes);
    for (long long first = 0; first < grid; first += cluster) {
        if (!run_cluster(backwards ? grid - cluster - first : first)) return message;
    }
    return nullptr;
}

}  // extern "C"
#pragma GCC visibility pop
