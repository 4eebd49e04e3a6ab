/*
 * Elections, as far as they go beyond the Raft paper: pre-votes, also early ones whose answers are kept, with the rule for
 * ties; voters that protect a leader whom they hear; CheckQuorum. src/raft/election.c and prevote.c are what is modelled.
 *
 * Logs have no entries but the no-op that each leader appends and nobody else gets: what matters here is that logs differ.
 * Time is left out: what a clock decides in the core may happen here at any moment. The durable is durable at once.
 *
 * Bounds: TERMS, FLIGHT messages in flight, CRASHES. A pair of nodes has at most one message of each kind in flight; a message
 * that is never delivered is one that is lost, so messages may be lost, delayed for ever and overtaken.
 *
 * Variants of the whole: none, what may happen at all; STEADY, a leader with one follower who hear each other, and a third
 * node that comes and goes; EARLY, a leader that has died and no timer; TRANSFER, a TimeoutNow on its way to a follower, and no
 * timer; LIVE, timers and a network that has become good.
 */
#include "trace.pml"

#ifndef TERMS
#define TERMS 3
#endif
#ifndef FLIGHT
#define FLIGHT 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif

#ifndef DISKS /* LIVE: which of them differ at the start */
#define DISKS 3
#endif

#if defined(STEADY) || defined(EARLY) || defined(TRANSFER)
#define FIRST_TERM 2
#else
#define FIRST_TERM 1
#endif

/* Whom node i takes for the preferred leader, as a number + 1. */
#if defined(INSIST)
#define PREFERS(i) ((i) + 1)
#elif defined(PREFERRED)
#define PREFERS(i) PREFERRED
#else
#define PREFERS(i) 0
#endif

mtype = { down, follower, candidate, leader, PreVote, RequestVote, current, stale, dead, granted, refused, kept, none };

#define at(i, j) ((i) * 3 + (j))
#define up_to_date(a, b, j) ((a) > lt[j] || ((a) == lt[j] && (b) >= li[j]))
#define bit_of(i) (1 << (i))
#define has(set, i) (((set) >> (i)) & 1)

/* Whether the network is good, and nobody crashes or starts. */
#if defined(EARLY) || defined(TRANSFER) || defined(LIVE)
#define calm 1
#else
#define calm 0
#endif

/* --- nodes: number i is "n" + (i + 1), and 0 is nobody where a node is named --- */
mtype role[3] = follower;
byte term[3] = FIRST_TERM;
byte vote[3];
byte led[3];    /* its leader */
bit hears[3];   /* which it has heard within the minimum election timeout */
byte late[3];   /* the term whose leader's connection it has just lost: what comes from it is late */
bit pre[3];     /* a follower that has asked for pre-votes */
byte rounds[3]; /* of these since it has heard a leader, up to 2, where somebody is preferred */
byte got[3];    /* who has granted its latest round, a bit each */
byte lt[3] = 1; /* its last entry: term */
byte li[3] = 1; /* and index */

/* --- messages, by sender and receiver; 0: there is none --- */
mtype vr[9] = none; /* PreVote or RequestVote */
byte vr_term[9];
byte vr_lt[9];
byte vr_li[9];
mtype vr_age[9] = none; /* of its sender's latest round, an earlier one, or its sender has been restarted since */
mtype vp[9] = none;     /* its reply */
mtype vp_says[9] = none;
byte vp_term[9];
mtype vp_age[9] = none;
byte hb[9]; /* a heartbeat: its term */
bit hb_dead[9];
byte no[9]; /* the reply to one of an earlier term: this node's term */
byte flight;
#ifdef TRANSFER
bit now; /* TimeoutNow, from n1 to n2 */
#define timeout_now(i, j) (now && (i) == 0 && (j) == 1)
#else
#define timeout_now(i, j) 0
#endif

/* --- PreVotes whose answer is kept, by sender and keeper --- */
byte kv_term[9];
byte kv_lt[9];
byte kv_li[9];
mtype kv_age[9] = none;

byte crashes;
byte leader_of[TERMS + 1]; /* ghost: who was elected */
#ifdef LIVE
byte fired;                /* whose timer has fired in this epoch, a bit each */
bit delivering;            /* some of what is on its way has arrived, and not all */
#endif

hidden byte from;
hidden byte me;
hidden byte each;
hidden byte here;
hidden byte back;
hidden byte to_peer; /* in d_steps alone: what those set is not restored when spin goes back to where it may choose */
hidden byte to_us;
hidden byte ask;
hidden byte yes;
hidden mtype said;

#ifdef LIVE
#define reset(i) fired = fired | bit_of(i)
#define note_delivery() delivering = (flight > 0)
#else
#define reset(i) skip
#define note_delivery() skip
#endif
#define would_elect(j, t, a, b) (role[j] != leader && (t) >= term[j] && up_to_date(a, b, j))
#define room() (flight < FLIGHT || calm)
/* Whether a message for this place may be lost; RELIABLE, for traces: only if there is no room for it. */
#ifdef RELIABLE
#define lossy(place) (place != none || !room())
#else
#define lossy(place) (!calm)
#endif

/* --- what is printed of a trace: each event, and then what all nodes are --- */

#ifdef TRACE
inline tell(i) {
    if
    :: role[i] == down -> printf("n%d down term %d vote %d log %d(t%d)\n", i + 1, term[i], vote[i], li[i], lt[i])
    :: else -> printf("n%d %e term %d vote %d leader %d log %d(t%d) commit 0\n", i + 1, role[i], term[i], vote[i], led[i], li[i], lt[i])
    fi
}

#endif

/* --- sending: it may be lost at once, which is as good as later --- */

inline put_request(by, to, of_kind) {
    here = at(by, to);
    if
    :: (vr[here] == none && room()) || (calm && vr[here] != none) ->
        flight = flight + (vr[here] == none);
        vr[here] = of_kind; vr_term[here] = term[by]; vr_lt[here] = lt[by]; vr_li[here] = li[by]; vr_age[here] = current
    :: lossy(vr[here])
    fi
}

/* To a request of that term and age; only what makes a difference to its receiver. */
inline put_reply(by, to, of_kind, says, to_term, of_age) {
    back = at(by, to);
    if
    :: of_age == dead || (says == refused && term[by] <= to_term) || (of_age == stale && term[by] <= to_term)
    :: else ->
        if
        :: (vp[back] == none && room()) || (calm && vp[back] != none) ->
            flight = flight + (vp[back] == none);
            vp[back] = of_kind; vp_says[back] = says; vp_term[back] = term[by]; vp_age[back] = of_age
        :: lossy(vp[back])
        fi
    fi
}

inline clear_request(r) {
    vr[r] = none; vr_term[r] = 0; vr_lt[r] = 0; vr_li[r] = 0; vr_age[r] = none
}

inline clear_reply(r) {
    vp[r] = none; vp_says[r] = none; vp_term[r] = 0; vp_age[r] = none
}

inline clear_kept(r) {
    kv_term[r] = 0; kv_lt[r] = 0; kv_li[r] = 0; kv_age[r] = none
}

/* --- state --- */

inline stale_round(i, j) {
    to_peer = at(i, j); to_us = at(j, i);
    if :: vr_age[to_peer] == current -> vr_age[to_peer] = stale :: else fi;
    if :: kv_age[to_peer] == current -> kv_age[to_peer] = stale :: else fi;
    if :: vp_age[to_us] == current -> vp_age[to_us] = stale :: else fi;
#if !defined(BROKEN_LATE_VOTES) && !defined(BROKEN_PRE_VOTES_COUNT)
    if :: vp[to_us] != none && vp_term[to_us] <= term[i] -> clear_reply(to_us); flight-- :: else fi
#endif
}

/* Node i's requests of earlier rounds; what a reply to them can still tell is a higher term. */
inline new_round(i) {
    d_step {
        stale_round(i, (i + 1) % 3);
        stale_round(i, (i + 2) % 3)
    }
}

inline enter_term(i, to_term) {
    term[i] = to_term; vote[i] = 0; led[i] = 0; hears[i] = 0; pre[i] = 0; late[i] = 0; got[i] = 0
}

inline follow(i) {
    if :: role[i] != follower -> role[i] = follower; led[i] = 0; hears[i] = 0; got[i] = 0 :: else fi
}

inline ask_pre_votes(i) {
    pre[i] = 1; ask = 1; got[i] = 0;
#if defined(PREFERRED) || defined(INSIST)
    if :: rounds[i] < 2 -> rounds[i]++ :: else fi;
#endif
    new_round(i)
}

inline start_election(i) {
    assert(term[i] < TERMS);
    enter_term(i, term[i] + 1);
    vote[i] = i + 1; role[i] = candidate; ask = 1;
    new_round(i)
}

inline beat(i, j) {
    here = at(i, j);
    if :: hb[here] == 0 && room() -> hb[here] = term[i]; hb_dead[here] = 0; flight++ :: else fi
}

inline become_leader(i) {
    role[i] = leader; led[i] = i + 1; got[i] = 0; rounds[i] = 0;
    assert(leader_of[term[i]] == 0 || leader_of[term[i]] == i + 1); /* one leader a term: paper section 5.2 */
    leader_of[term[i]] = i + 1;
    lt[i] = term[i]; li[i]++;
#ifdef LIVE
    reset(i);
    beat(i, (i + 1) % 3); beat(i, (i + 2) % 3)
#endif
}

#ifdef BROKEN_INSISTING
#define preference_counts(j) 1
#else
#define preference_counts(j) (rounds[j] <= 1)
#endif

/* Where node j, which hears no leader, would elect i by its log and term: unless it campaigns itself, and wins the tie. */
inline decide(j, by, at_term, at_index) {
    yes = 1;
#ifndef BROKEN_NO_TIE_BREAK
    if
    :: pre[j] && at_term == lt[j] && at_index == li[j] ->
        if
        :: preference_counts(j) && (PREFERS(j) == by + 1 || PREFERS(j) == j + 1) -> yes = (PREFERS(j) == by + 1)
        :: else -> yes = (by < j)
        fi
    :: else
    fi;
#endif
    if
    :: yes -> said = granted; if :: pre[j] -> pre[j] = 0; got[j] = 0; reset(j) :: else fi
    :: else -> said = refused
    fi
}

inline answer_kept(j) {
    say3("answer n%d->n%d %e\n", j + 1, each + 1, said);
    put_reply(j, each, PreVote, said, kv_term[here], kv_age[here]);
    clear_kept(here)
}

/* The end of a step of node j: answers that it kept and that are due, then its own requests. */
inline end_step(j) {
    if
    :: kv_term[at(0, j)] + kv_term[at(1, j)] + kv_term[at(2, j)] > 0 ->
        each = 0;
        do
        :: each < 3 ->
            here = at(each, j);
            if
            :: kv_term[here] == 0
            :: kv_term[here] > 0 && !would_elect(j, kv_term[here], kv_lt[here], kv_li[here]) ->
                said = refused;
                answer_kept(j)
            :: kv_term[here] > 0 && would_elect(j, kv_term[here], kv_lt[here], kv_li[here]) && !hears[j] ->
                decide(j, each, kv_lt[here], kv_li[here]);
                answer_kept(j)
            :: else
            fi;
            each++
        :: else -> break
        od
    :: else
    fi;
    if
    :: ask && pre[j] -> put_request(j, (j + 1) % 3, PreVote); put_request(j, (j + 2) % 3, PreVote)
    :: ask && role[j] == candidate -> put_request(j, (j + 1) % 3, RequestVote); put_request(j, (j + 2) % 3, RequestVote)
    :: else
    fi;
    ask = 0; each = 0;
    said = none;
#ifdef STEADY
    assert(role[0] == leader && term[0] == FIRST_TERM); /* nobody deposes it */
#endif
    tell_all()
}

/* --- receiving --- */

/* A node that hears nobody from when the network is good on, though it is heard. */
#ifdef DEAF
#define deaf(i) ((i) == 0)
#else
#define deaf(i) 0
#endif

hidden mtype m_kind;
hidden mtype m_age;
hidden byte m_term;
hidden byte m_lt;
hidden byte m_li;

inline take_request(i, j) {
    here = at(i, j);
    m_kind = vr[here]; m_term = vr_term[here]; m_lt = vr_lt[here]; m_li = vr_li[here]; m_age = vr_age[here];
    clear_request(here); flight--;
    if
    :: m_kind == PreVote -> handle_pre_vote(i, j)
    :: else -> handle_vote(i, j)
    fi;
    say8("deliver n%d->n%d %e term %d log %d(t%d) %e: %e\n", i + 1, j + 1, m_kind, m_term, m_li, m_lt, m_age, said)
}

inline handle_pre_vote(i, j) {
    here = at(i, j);
    if
    :: !would_elect(j, m_term, m_lt, m_li) ->
        said = refused;
        put_reply(j, i, PreVote, refused, m_term, m_age)
#ifndef BROKEN_NO_STICKINESS
    :: would_elect(j, m_term, m_lt, m_li) && hears[j] ->
#ifdef BROKEN_NONE_KEPT
        said = refused
#else
        /* An earlier one is refused. */
        if :: kv_term[here] > 0 -> put_reply(j, i, PreVote, refused, kv_term[here], kv_age[here]) :: else fi;
        said = kept;
        kv_term[here] = m_term; kv_lt[here] = m_lt; kv_li[here] = m_li; kv_age[here] = m_age
#endif
    :: would_elect(j, m_term, m_lt, m_li) && !hears[j] ->
#else
    :: would_elect(j, m_term, m_lt, m_li) ->
#endif
        decide(j, i, m_lt, m_li);
        put_reply(j, i, PreVote, said, m_term, m_age)
    fi
}

inline handle_vote(i, j) {
    said = refused;
    if
    :: m_term < term[j]
#if !defined(BROKEN_NO_STICKINESS) && (!defined(TRANSFER) || defined(BROKEN_NO_BYPASS))
    :: m_term >= term[j] && (hears[j] || role[j] == leader)
    :: m_term >= term[j] && !hears[j] && role[j] != leader ->
#else
    :: m_term >= term[j] ->
#endif
        if :: m_term > term[j] -> enter_term(j, m_term); follow(j) :: else fi;
        if
#ifdef BROKEN_DOUBLE_VOTE
        :: up_to_date(m_lt, m_li, j) ->
#else
        :: (vote[j] == 0 || vote[j] == i + 1) && up_to_date(m_lt, m_li, j) ->
#endif
            said = granted; vote[j] = i + 1;
            if :: pre[j] -> pre[j] = 0; got[j] = 0 :: else fi;
            reset(j)
        :: else
        fi
    fi;
    put_reply(j, i, RequestVote, said, m_term, m_age)
}

inline take_reply(i, j) {
    back = at(i, j);
    m_kind = vp[back]; said = vp_says[back]; m_term = vp_term[back]; m_age = vp_age[back];
    clear_reply(back); flight--;
    say6("deliver n%d->n%d reply to %e term %d %e: %e\n", i + 1, j + 1, m_kind, m_term, m_age, said);
    if
    :: m_term > term[j] -> enter_term(j, m_term); follow(j)
#if defined(BROKEN_LATE_VOTES)
    :: m_term <= term[j] && said == granted && ((m_kind == PreVote && pre[j] && m_age == current) || (m_kind == RequestVote && role[j] == candidate)) ->
#elif defined(BROKEN_PRE_VOTES_COUNT)
    :: m_term <= term[j] && said == granted && (pre[j] || role[j] == candidate) ->
#else
    :: m_term <= term[j] && said == granted && m_age == current && ((m_kind == PreVote && pre[j]) || (m_kind == RequestVote && role[j] == candidate && m_term == term[j])) ->
#endif
        if
        :: pre[j] -> start_election(j)
        :: else -> become_leader(j)
        fi
    :: else
    fi
}

inline take_heartbeat(i, j) {
    here = at(i, j); back = at(j, i);
    m_term = hb[here]; m_age = (hb_dead[here] -> dead : current);
    hb[here] = 0; hb_dead[here] = 0; flight--;
    say4("deliver n%d->n%d heartbeat term %d %e\n", i + 1, j + 1, m_term, m_age);
    if
    :: m_term < term[j] ->
        if
        :: m_age == current && no[back] == 0 && room() -> no[back] = term[j]; flight++
        :: m_age == dead || no[back] > 0 || !calm
        fi
    :: else ->
        if :: m_term > term[j] -> enter_term(j, m_term) :: else fi;
        follow(j);
        if
        :: late[j] == m_term
        :: else -> led[j] = i + 1; hears[j] = 1; pre[j] = 0; got[j] = 0; rounds[j] = 0; late[j] = 0; reset(j)
        fi
    fi
}

inline take_refusal(i, j) {
    back = at(i, j);
    m_term = no[back]; no[back] = 0; flight--;
    say3("deliver n%d->n%d refused heartbeat term %d\n", i + 1, j + 1, m_term);
    if :: m_term > term[j] -> enter_term(j, m_term); follow(j) :: else fi
}

/* The leader has asked this node to take over: its election needs no pre-votes, and who hears the leader votes, too. */
inline take_timeout_now(j) {
#ifdef TRANSFER
    now = 0;
#ifdef BROKEN_TIMEOUT_NOW_PRE_VOTE
    ask_pre_votes(j)
#else
    start_election(j)
#endif
#else
    skip
#endif
}

#define receives(j) (role[j] != down && !deaf(j))
#define arrives(i, j) (receives(j) && (in_flight(at(i, j)) || timeout_now(i, j)))
#define gone(i, j) (calm && !receives(j) && in_flight(at(i, j)))
#define in_flight(r) (vr[r] != none || vp[r] != none || hb[r] > 0 || no[r] > 0)

inline drop_all(r) {
    flight = flight - (vr[r] != none) - (vp[r] != none) - (hb[r] > 0) - (no[r] > 0);
    clear_request(r); clear_reply(r);
    hb[r] = 0; hb_dead[r] = 0; no[r] = 0;
    note_delivery()
}

inline take(i, j) {
    if
    :: vr[at(i, j)] != none -> take_request(i, j)
    :: vp[at(i, j)] != none -> take_reply(i, j)
    :: hb[at(i, j)] > 0 -> take_heartbeat(i, j)
    :: no[at(i, j)] > 0 -> take_refusal(i, j)
    :: timeout_now(i, j) -> take_timeout_now(j)
    fi;
    end_step(j);
    note_delivery()
}

/* --- what happens by itself --- */

#if defined(EARLY) || defined(TRANSFER)
#define timers 0
#else
#define timers 1
#endif

#ifdef LIVE
/* Timers fire at one moment, or so far apart that all messages arrive in between (paper section 5.6); none fires twice before
   each has fired once, since they differ by less than a factor of two. */
#define may_fire(i) (!has(fired, i) && !delivering)
#define campaigns(i) (term[i] < TERMS && may_fire(i) && !deaf(i))
#define follows_live(i) (led[i] > 0 && role[led[i] - 1] == leader && term[led[i] - 1] == term[i])
#define may_fall_silent(i) (may_fire(i) && !follows_live(i))
#define connection_may_end(i) (role[led[i] - 1] == down)
#ifdef BROKEN_NO_CHECK_QUORUM
#define quorum_may_be_silent(i) 0
#define deaf_leader_beats 1
#else
#define quorum_may_be_silent(i) (deaf(i) && may_fire(i))
#define deaf_leader_beats 0
#endif
#define beats(i) ((!deaf(i) || deaf_leader_beats) && may_fire(i))
#elif defined(EARLY) || defined(TRANSFER)
#define campaigns(i) (term[i] < TERMS)
#define may_fall_silent(i) 0
#ifdef EARLY
#define connection_may_end(i) 1
#else
#define connection_may_end(i) 0
#endif
#define quorum_may_be_silent(i) 0
#define beats(i) 0
#elif defined(STEADY)
#define campaigns(i) (term[i] < TERMS)
#define may_fall_silent(i) ((i) == 2)
#define connection_may_end(i) ((i) == 2)
#define quorum_may_be_silent(i) 0
#define beats(i) 1
#else
#define campaigns(i) (term[i] < TERMS)
#define may_fall_silent(i) 1
#define connection_may_end(i) 1
#define quorum_may_be_silent(i) 1
#define beats(i) 1
#endif

#define may_be_silent(i) (role[i] == follower && hears[i] && may_fall_silent(i))
#define may_lose(i) (role[i] == follower && led[i] > 0 && connection_may_end(i) && campaigns(i))
#define may_time_out(i) (timers && role[i] != down && role[i] != leader && !hears[i] && campaigns(i))
#define may_forgive(i) (timers && late[i] > 0)
#define may_step_down(i) (role[i] == leader && quorum_may_be_silent(i))
#define may_beat(i, j) (role[i] == leader && beats(i) && room() && hb[at(i, j)] == 0)
#define acts(i) (may_be_silent(i) || may_lose(i) || may_time_out(i) || may_forgive(i) || may_step_down(i) || may_beat(i, (i + 1) % 3) || may_beat(i, (i + 2) % 3))

inline act(i) {
    if
    :: may_be_silent(i) ->
        say1("silent n%d\n", i + 1);
        hears[i] = 0; late[i] = 0
    :: may_lose(i) ->
        say1("lost n%d\n", i + 1);
        late[i] = term[i]; led[i] = 0; hears[i] = 0; reset(i);
        ask_pre_votes(i)
    :: may_time_out(i) ->
        say1("timeout n%d\n", i + 1);
        follow(i);
        led[i] = 0; late[i] = 0; reset(i);
#ifdef BROKEN_NO_PRE_VOTE
        start_election(i)
#else
        ask_pre_votes(i)
#endif
    :: may_forgive(i) ->
        say1("late-over n%d\n", i + 1);
        late[i] = 0
    :: may_step_down(i) ->
        say1("quorum n%d\n", i + 1);
        follow(i); reset(i)
    :: calm && (may_beat(i, (i + 1) % 3) || may_beat(i, (i + 2) % 3)) -> reset(i); beat(i, (i + 1) % 3); beat(i, (i + 2) % 3)
    :: !calm && may_beat(i, (i + 1) % 3) -> beat(i, (i + 1) % 3)
    :: !calm && may_beat(i, (i + 2) % 3) -> beat(i, (i + 2) % 3)
    fi;
    end_step(i)
}

inline forget_peer(i, j) {
    to_peer = at(i, j); to_us = at(j, i);
    clear_kept(to_us);
    if :: kv_term[to_peer] > 0 -> kv_age[to_peer] = dead :: else fi;
    if :: vr[to_peer] != none -> vr_age[to_peer] = dead :: else fi;
    if :: hb[to_peer] > 0 -> hb_dead[to_peer] = 1 :: else fi;
    if :: vp[to_us] != none -> clear_reply(to_us); flight-- :: else fi;
    if :: no[to_us] > 0 -> no[to_us] = 0; flight-- :: else fi
}

inline forget(i) {
    d_step {
        led[i] = 0; hears[i] = 0; late[i] = 0; pre[i] = 0; rounds[i] = 0; got[i] = 0;
        forget_peer(i, (i + 1) % 3);
        forget_peer(i, (i + 2) % 3)
    }
}

#ifdef STEADY
#define may_crash(i) ((i) == 2)
#else
#define may_crash(i) 1
#endif

#define may_crash_now(i) (timers && !calm && role[i] != down && may_crash(i) && crashes < CRASHES)
#define may_restart(i) (timers && !calm && role[i] == down)

inline live_or_die(i) {
    if
    :: may_crash_now(i) ->
        crashes++;
        say1("crash n%d\n", i + 1);
        role[i] = down;
        forget(i)
    :: may_restart(i) ->
        say1("restart n%d\n", i + 1);
#ifdef BROKEN_FORGETS_VOTE
        vote[i] = 0;
#endif
        role[i] = follower
    fi;
    tell_all()
}

#ifdef LIVE
#define deaf_follower(i) (deaf(i) && role[i] != leader)
#define has_fired(i) (has(fired, i) || role[i] == down || deaf_follower(i))
#define settled_by(i, j) (role[i] == leader && !deaf(i) && role[j] != down && led[j] == i + 1 && term[j] == term[i])
#define settled (settled_by(0, 1) || settled_by(0, 2) || settled_by(1, 0) || settled_by(1, 2) || settled_by(2, 0) || settled_by(2, 1))

ltl live { <> settled }
#endif

#ifdef TRANSFER
ltl transfer { <> (role[1] == leader) }
#endif

#ifdef EARLY
ltl early { <> (role[1] == leader || role[2] == leader) }
#endif

inline set_up() {
#ifdef TRANSFER
    role[0] = leader; vote[0] = 1; led[0] = 1; lt[0] = 2; li[0] = 2; leader_of[2] = 1;
    led[1] = 1; hears[1] = 1; lt[1] = 2; li[1] = 2; now = 1;
    if :: vote[1] = 1 :: skip fi;
    if :: vote[2] = 1 :: vote[2] = 2 :: term[2] = 1 :: skip fi;
    if :: term[2] == 2 -> led[2] = 1; hears[2] = 1 :: skip fi;
    if :: led[2] == 1 -> lt[2] = 2; li[2] = 2 :: skip fi;
#endif
#ifdef STEADY
    role[0] = leader; vote[0] = 1; vote[1] = 1; led[0] = 1; led[1] = 1; hears[1] = 1; lt[0] = 2; li[0] = 2; leader_of[2] = 1;
    if :: lt[1] = 2; li[1] = 2 :: skip fi;
    if :: lt[2] = 2; li[2] = 2 :: skip fi;
    if :: lt[2] == 1 -> term[2] = 1 :: vote[2] = 1 :: skip fi;
#endif
#ifdef LIVE
    /* Whatever a bad network has left: disks that differ, a leader or none, a node that is down; nothing is on its way. */
    each = 0;
    do
    :: each < DISKS ->
        if :: term[each] = 2; if :: skip :: vote[each] = 1 :: vote[each] = 2 :: vote[each] = 3 fi :: skip fi;
        if :: li[each] = 2 :: skip fi;
        each++
    :: else -> break
    od;
    each = 0;
    if
    :: skip
#ifndef DEAF
    :: role[0] = down
    :: role[1] = down
    :: role[2] = down
#endif
    :: term[0] == 2 && vote[0] == 1 && li[0] == 2 && term[1] == 2 && vote[1] == 1 ->
        role[0] = leader; leader_of[2] = 1; led[0] = 1; led[1] = 1; hears[1] = 1; lt[0] = 2; li[0] = 3
    fi;
#endif
#ifdef EARLY
    role[0] = down; vote[0] = 1; lt[0] = 2; li[0] = 2; leader_of[2] = 1;
    led[1] = 1; led[2] = 1; hears[1] = 1; hears[2] = 1;
    if :: lt[1] = 2; li[1] = 2 :: skip fi;
    if :: lt[2] = 2; li[2] = 2 :: skip fi;
#endif
    tell_all()
}

/* What is on its way to a node that is down waits for it, or is lost, which needs no step. */
active proctype World() {
    atomic { set_up() }
end:
    do
    :: atomic {
        if
        :: arrives(0, 1) -> from = 0; me = 1
        :: arrives(0, 2) -> from = 0; me = 2
        :: arrives(1, 0) -> from = 1; me = 0
        :: arrives(1, 2) -> from = 1; me = 2
        :: arrives(2, 0) -> from = 2; me = 0
        :: arrives(2, 1) -> from = 2; me = 1
        fi;
        take(from, me)
    }
    :: atomic {
        if
        :: acts(0) -> me = 0
        :: acts(1) -> me = 1
        :: acts(2) -> me = 2
        fi;
        act(me)
    }
    :: atomic {
        if
        :: may_crash_now(0) || may_restart(0) -> me = 0
        :: may_crash_now(1) || may_restart(1) -> me = 1
        :: may_crash_now(2) || may_restart(2) -> me = 2
        fi;
        live_or_die(me)
    }
#ifdef LIVE
    :: atomic {
        if
        :: gone(0, 1) -> drop_all(1)
        :: gone(0, 2) -> drop_all(2)
        :: gone(1, 0) -> drop_all(3)
        :: gone(1, 2) -> drop_all(5)
        :: gone(2, 0) -> drop_all(6)
        :: gone(2, 1) -> drop_all(7)
        fi
    }
    :: atomic { flight == 0 && has_fired(0) && has_fired(1) && has_fired(2) -> fired = 0 }
#endif
    od
}
