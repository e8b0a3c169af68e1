// Program fake-gcs-server serves buckets in memory for tests: fsouza's server, with the two requests of the XML API that
// it lacks. An object is written by a plain PUT of its path there, which this hands on as the upload of the JSON API, with
// the same precondition; and a bucket that does not exist is 404. It prints its address once it listens.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"

	"github.com/fsouza/fake-gcs-server/fakestorage"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	address := listener.Addr().String()
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		NoListener: true, Scheme: "http", ExternalURL: "http://" + address, PublicHost: address,
	})
	if err != nil {
		fail(err)
	}
	fmt.Printf("listens on http://%s\n", address)
	fail(http.Serve(listener, completed(server)))
}

func completed(server *fakestorage.Server) http.Handler {
	inner := server.HTTPHandler()
	return http.HandlerFunc(func(reply http.ResponseWriter, request *http.Request) {
		bucket, object, _ := strings.Cut(strings.TrimPrefix(request.URL.Path, "/"), "/")
		switch {
		case bucket == "storage" || bucket == "upload" || bucket == "_internal":
			inner.ServeHTTP(reply, request)
		case missing(server, bucket):
			http.Error(reply, "<Error><Code>NoSuchBucket</Code></Error>", http.StatusNotFound)
		case request.Method == http.MethodPut && object != "":
			put(inner, reply, request, bucket, object)
		default:
			inner.ServeHTTP(reply, request)
		}
	})
}

func missing(server *fakestorage.Server, bucket string) bool {
	asked := httptest.NewRequest(http.MethodGet, "/storage/v1/b/"+url.PathEscape(bucket), nil)
	reply := httptest.NewRecorder()
	server.HTTPHandler().ServeHTTP(reply, asked)
	return reply.Code == http.StatusNotFound
}

func put(inner http.Handler, reply http.ResponseWriter, request *http.Request, bucket, object string) {
	query := url.Values{"uploadType": {"media"}, "name": {object}}
	if generation := request.Header.Get("x-goog-if-generation-match"); generation != "" {
		query.Set("ifGenerationMatch", generation)
	}
	upload, err := http.NewRequest(http.MethodPost, "/upload/storage/v1/b/"+bucket+"/o?"+query.Encode(), request.Body)
	if err != nil {
		http.Error(reply, err.Error(), http.StatusBadRequest)
		return
	}
	upload.Header, upload.Host, upload.ContentLength = request.Header, request.Host, request.ContentLength
	written := httptest.NewRecorder()
	inner.ServeHTTP(written, upload)
	var said struct{ Etag, Generation string }
	if json.Unmarshal(written.Body.Bytes(), &said) == nil && said.Etag != "" {
		reply.Header().Set("ETag", said.Etag)
		reply.Header().Set("x-goog-generation", said.Generation)
		reply.WriteHeader(written.Code)
		return
	}
	reply.WriteHeader(written.Code)
	reply.Write(written.Body.Bytes())
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
