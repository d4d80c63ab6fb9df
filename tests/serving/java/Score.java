import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Path;
public class Score {
  public static void main(String[] a) throws Exception {
    HttpClient client = HttpClient.newHttpClient();
    for (int i = 0; i < 2; i++) {
      HttpRequest request = HttpRequest.newBuilder(URI.create(a[0]))
          .header("Content-Type", "application/dicom")
          .POST(HttpRequest.BodyPublishers.ofFile(Path.of(a[1]))).build();
      HttpResponse<String> r = client.send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(r.statusCode() + " " + r.version() + " " + r.body());
    }
  }
}
