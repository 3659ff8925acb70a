package chatapi

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/antchat/antchat/server/chat"
)

// Backend is a program that takes part by calls and not by a socket: it may do
// everything in every room, or what [Backend.Within] leaves of that; of direct
// rooms only its own are open to it. What it is allowed to ask for at all is its
// caller's to know. Safe for concurrent use.
//
// All methods bound their wait for the store by Options.StoreTimeout, and are
// refused by Options.Shed as sockets are. [ProblemOf] has their errors' codes.
type Backend struct {
	api    *API
	author chat.Author
	within *BackendRooms // nil: everywhere
}

// BackendRooms say what a back end may do where. Rules are asked as of somebody
// without a token; nil is no room. Direct is for the back end's own direct rooms,
// which rules do not reach.
type BackendRooms struct {
	Rules  *chat.Rules
	Direct chat.Rights
}

// Backend makes a back end. id is its own, the same for ever; name is what people
// see, by the rules of a person's name.
func (a *API) Backend(id, name string) (*Backend, error) {
	name, err := a.chat.Limits().Name(name)
	if err != nil {
		return nil, err
	}
	return &Backend{api: a, author: chat.Author{User: chat.UserOfBackend(id), Name: name}}, nil
}

// Within is the same back end with what rooms leave of its rights. They must not
// change.
func (b *Backend) Within(rooms BackendRooms) *Backend {
	return &Backend{b.api, b.author, &rooms}
}

// As is the same back end under another name.
func (b *Backend) As(name string) (*Backend, error) {
	name, err := b.api.chat.Limits().Name(name)
	if err != nil {
		return nil, err
	}
	return &Backend{b.api, chat.Author{User: b.author.User, Name: name}, b.within}, nil
}

// Barred refuses the subject of a token who is kept out of the chat.
func (a *API) Barred(ctx context.Context, subject string) error {
	ctx, cancel := context.WithTimeout(ctx, a.options.StoreTimeout)
	defer cancel()
	s, err := a.sanctions(ctx, chat.UserOfSubject(subject))
	if err != nil {
		return err
	}
	if until := s.Barred(); !until.IsZero() {
		return &sanctioned{CodeBanned, until}
	}
	return nil
}

// ProblemOf is what a client is told of an error of this package's.
func ProblemOf(err error) Problem { return problem(err) }

// begin opens a call: ctx is bounded, and the class not refused now.
func (b *Backend) begin(ctx context.Context, class Class) (context.Context, context.CancelFunc, error) {
	if shed := b.api.options.Shed; shed != nil {
		if after, refused := shed(class); refused {
			return nil, nil, errOverloaded{after}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, b.api.options.StoreTimeout)
	return ctx, cancel, nil
}

// room checks and normalises a room's name, and that the back end may do there
// what it is about to.
func (b *Backend) room(name string, what chat.Rights) (string, error) {
	room, err := b.api.chat.Limits().RoomFor(b.author.User, name)
	if err == nil && !b.may(room, what) {
		err = chat.ErrForbidden
	}
	return room, err
}

// may says whether the back end has a right in a room, whose name is normal.
func (b *Backend) may(room string, what chat.Rights) bool {
	direct := chat.IsDirect(room)
	switch {
	case direct && chat.Partner(room, b.author.User) == "":
		return false
	case b.within == nil:
		return true
	case direct:
		return b.within.Direct.May(what)
	}
	return b.within.Rules != nil && b.within.Rules.Of(chat.Holder{}, room).May(what)
}

// Check says what [Backend.Send] would refuse of a message, whatever the store
// says.
func (b *Backend) Check(room, text, id string) error {
	l := b.api.chat.Limits()
	if _, err := b.room(room, chat.Write); err != nil {
		return err
	}
	if _, err := l.Text(text); err != nil {
		return err
	}
	return l.ID(id)
}

// Send stores a message; members get it as they get any other. An id makes a
// repetition safe: ids are the back end's own, within a room.
func (b *Backend) Send(ctx context.Context, room, text, id string) (chat.Sent, error) {
	ctx, cancel, err := b.begin(ctx, ClassWrite)
	if err != nil {
		return chat.Sent{}, err
	}
	defer cancel()
	if room, err = b.room(room, chat.Write); err != nil {
		return chat.Sent{}, err
	}
	return b.api.post(ctx, chat.Outgoing{From: b.author, Room: room, Text: text, ID: id})
}

// History reads a page. Direct rooms are @ and the other one's public id.
func (b *Backend) History(ctx context.Context, room string, q chat.HistoryQuery) (chat.Page, error) {
	ctx, cancel, err := b.begin(ctx, ClassRead)
	if err != nil {
		return chat.Page{}, err
	}
	defer cancel()
	if room, err = b.room(room, chat.Read); err != nil {
		return chat.Page{}, err
	}
	if err := b.api.chat.Limits().Epoch(q.Epoch); err != nil {
		return chat.Page{}, err
	}
	return b.api.chat.History(ctx, room, q)
}

// Rooms lists rooms that the back end may read, by page, whatever the people's rules
// say of them; direct ones are not listed.
func (b *Backend) Rooms(ctx context.Context, q chat.RoomsQuery) (chat.RoomsPage, error) {
	ctx, cancel, err := b.begin(ctx, ClassRead)
	if err != nil {
		return chat.RoomsPage{}, err
	}
	defer cancel()
	if q.After != "" {
		if q.After, err = b.api.chat.Limits().Room(q.After); err != nil {
			return chat.RoomsPage{}, err
		}
	}
	return b.api.chat.ListRooms(ctx, q, func(room string) bool { return b.may(room, chat.Read) })
}

// Members lists a room's people by page (see [chat.Chat.People]).
func (b *Backend) Members(ctx context.Context, room, cursor string, limit int) (chat.Roster, error) {
	ctx, cancel, err := b.begin(ctx, ClassRead)
	if err != nil {
		return chat.Roster{}, err
	}
	defer cancel()
	if room, err = b.room(room, chat.Read); err != nil {
		return chat.Roster{}, err
	}
	return b.api.chat.People(ctx, room, cursor, limit)
}

func (b *Backend) moderator() chat.Moderator { return chat.Moderator{Author: b.author} }

// moderated is the room of something that a moderator does. None is refused for
// its class: each makes less work.
func (b *Backend) moderated(ctx context.Context, name string) (string, context.Context, context.CancelFunc, error) {
	room, err := b.room(name, chat.Moderate)
	if err != nil {
		return "", nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, b.api.options.StoreTimeout)
	return room, ctx, cancel, nil
}

// Remove takes a message out of everybody's view.
func (b *Backend) Remove(ctx context.Context, room, epoch string, seq uint64) (Entry, error) {
	room, ctx, cancel, err := b.moderated(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	defer cancel()
	if err := b.api.chat.Limits().Epoch(epoch); err != nil {
		return Entry{}, err
	}
	_, epoch, err = b.api.chat.MessageBy(ctx, room, epoch, seq)
	if err != nil {
		return Entry{}, err
	}
	sent, err := b.api.chat.Remove(ctx, b.moderator(), room, epoch, seq)
	return entryOf(sent), err
}

// Sanction is [API.Sanction] in a room of that name.
func (b *Backend) Sanction(ctx context.Context, kind chat.SanctionKind, room, user, reason string, lasts time.Duration) (Entry, error) {
	room, ctx, cancel, err := b.moderated(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	defer cancel()
	return b.api.Sanction(ctx, b.moderator(), kind, room, user, reason, lasts)
}

// Pardon is [API.Pardon] in a room of that name.
func (b *Backend) Pardon(ctx context.Context, kind chat.SanctionKind, room, user string) (Entry, error) {
	room, ctx, cancel, err := b.moderated(ctx, room)
	if err != nil {
		return Entry{}, err
	}
	defer cancel()
	return b.api.Pardon(ctx, b.moderator(), kind, room, user)
}

// Bar is [API.Bar].
func (b *Backend) Bar(ctx context.Context, user string, lasts time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, b.api.options.StoreTimeout)
	defer cancel()
	return b.api.Bar(ctx, user, lasts)
}

// Announce tells every socket. It is kept for those who come back within the
// recovery window, and in no log.
func (b *Backend) Announce(ctx context.Context, text string) (Announcement, error) {
	text, err := b.api.chat.Limits().Text(text)
	if err != nil {
		return Announcement{}, err
	}
	ctx, cancel, err := b.begin(ctx, ClassWrite)
	if err != nil {
		return Announcement{}, err
	}
	defer cancel()
	news := Announcement{Message: text, Username: b.author.Name, TS: chat.Milliseconds(time.Now())}
	if err := b.api.ns.To().EmitEvent(ctx, event(eventAnnouncement, news)); err != nil {
		return Announcement{}, fmt.Errorf("announce: %w", err)
	}
	return news, nil
}

// post sends what no socket sends.
func (a *API) post(ctx context.Context, m chat.Outgoing) (chat.Sent, error) {
	sent, err := a.chat.Send(ctx, m)
	if err != nil {
		return chat.Sent{}, err
	}
	if a.options.Hooks.Sent != nil {
		a.options.Hooks.Sent(sent.Duplicate)
	}
	a.posted(ctx, m.From, sent)
	return sent, nil
}

// posted does what a new message entails.
func (a *API) posted(ctx context.Context, from chat.Author, sent chat.Sent) {
	if sent.Duplicate {
		return
	}
	partner := chat.Partner(sent.Room, from.User)
	if partner == "" {
		if h := a.options.Hooks.Posted; h != nil {
			h(chat.Message{
				Username: from.Name, Message: sent.Text, Room: sent.Room, ID: sent.ID, User: chat.PublicID(from.User),
				Seq: sent.Seq, Epoch: sent.Epoch, TS: chat.Milliseconds(sent.Time),
			})
		}
		return
	}
	if sent.Seq == 1 { // the beginning: both have the room from now on
		listed, err := a.chat.KnowPartner(ctx, partner, sent.Room, sent.Time)
		if err = errors.Join(err, a.chat.Know(ctx, from.User, sent.Room)); err != nil {
			a.options.Logger.Debug("direct room not noted", "err", err)
		}
		if h := a.options.Hooks.Unlisted; h != nil && !listed {
			h()
		}
	}
	a.tellOfDirect(ctx, from, partner, sent)
}
