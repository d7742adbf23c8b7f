// A small chat server on database/sql and mattn's driver: `server PORT GATEWAY DATABASE JOURNAL SAVE`.
//
// SAVE is `before` or `after` (the final marker), `detached` (in a goroutine that nobody waits for), or
// `both`: before the marker, next to another write that is awaited as well.
package main

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"

	_ "github.com/mattn/go-sqlite3"
)

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

var db *sql.DB

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func save(chat, role, content string) {
	transaction, err := db.Begin()
	must(err)
	_, err = transaction.Exec("INSERT INTO message (conversation_id, role, content) VALUES (?, ?, ?)", chat, role, content)
	must(err)
	must(transaction.Commit())
}

func history(chat string) []message {
	rows, err := db.Query("SELECT role, content FROM message WHERE conversation_id = ? ORDER BY id", chat)
	must(err)
	defer rows.Close()
	messages := []message{}
	for rows.Next() {
		var one message
		must(rows.Scan(&one.Role, &one.Content))
		messages = append(messages, one)
	}
	return messages
}

// Calls back with each piece of the provider's answer.
func ask(gateway string, messages []message, piece func(string)) {
	body, _ := json.Marshal(map[string]any{"model": "small", "stream": true, "messages": messages})
	response, err := http.Post(gateway+"/chat/completions", "application/json", bytes.NewReader(body))
	must(err)
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		data := strings.TrimPrefix(lines.Text(), "data: ")
		var event struct {
			Choices []struct{ Delta struct{ Content string } }
		}
		if json.Unmarshal([]byte(data), &event) == nil && len(event.Choices) > 0 {
			piece(event.Choices[0].Delta.Content)
		}
	}
}

func main() {
	port, gateway, file, journal, how := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	var err error
	db, err = sql.Open("sqlite3", fmt.Sprintf("file:%s?_journal_mode=%s&_busy_timeout=10000&_txlock=immediate", file, journal))
	must(err)
	_, err = db.Exec(`CREATE TABLE IF NOT EXISTS message
		(id INTEGER PRIMARY KEY, conversation_id TEXT NOT NULL, role TEXT NOT NULL, content TEXT NOT NULL)`)
	must(err)
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS seen (at INTEGER)")
	must(err)
	http.HandleFunc("/health", func(out http.ResponseWriter, _ *http.Request) {})
	http.HandleFunc("/conversations", func(out http.ResponseWriter, _ *http.Request) {
		key := make([]byte, 8)
		rand.Read(key)
		out.WriteHeader(201)
		json.NewEncoder(out).Encode(map[string]string{"id": hex.EncodeToString(key)})
	})
	http.HandleFunc("/conversations/", func(out http.ResponseWriter, in *http.Request) {
		json.NewEncoder(out).Encode(history(strings.Split(in.URL.Path, "/")[2]))
	})
	http.HandleFunc("/chat", func(out http.ResponseWriter, in *http.Request) {
		var asked struct {
			Conversation string `json:"conversation_id"`
			Message      string
		}
		must(json.NewDecoder(in.Body).Decode(&asked))
		chat := asked.Conversation
		save(chat, "user", asked.Message)
		out.Header().Set("Content-Type", "text/event-stream")
		flush := out.(http.Flusher).Flush
		said := ""
		ask(gateway, history(chat), func(piece string) {
			said += piece
			fmt.Fprintf(out, "data: %s\n\n", strings.ReplaceAll(piece, "\n", "\ndata: "))
			flush()
		})
		switch how {
		case "before":
			save(chat, "assistant", said)
		case "detached":
			go save(chat, "assistant", said)
		case "both":
			var both sync.WaitGroup
			both.Add(2)
			go func() { save(chat, "assistant", said); both.Done() }()
			go func() { db.Exec("INSERT INTO seen VALUES (1)"); both.Done() }()
			both.Wait()
		}
		fmt.Fprint(out, "data: [DONE]\n\n")
		flush()
		if how == "after" {
			save(chat, "assistant", said)
		}
	})
	must(http.ListenAndServe("127.0.0.1:"+port, nil))
}
