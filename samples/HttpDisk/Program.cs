// HttpDisk URL SOCKET: serves an image on a web server, read-only, by range requests.
using System.Net;
using System.Net.Http.Headers;
using VmShunt.BlockBackend;

using var http = new HttpClient { BaseAddress = new Uri(args[0]) };
using var head = await http.SendAsync(new HttpRequestMessage(HttpMethod.Head, ""));
await using var server = new BlockServer(new HttpDisk(http, head.EnsureSuccessStatusCode().Content.Headers.ContentLength ?? 0));
server.ListenVhostUser(args[1]);
Console.WriteLine("ready");
await server.RunUntilSignalAsync();

internal sealed class HttpDisk(HttpClient http, long length) : AsyncBlockDevice
{
    public override long Length => length;
    public override bool IsReadOnly => true;

    public override async ValueTask ReadAsync(Memory<byte> destination, long offset, CancellationToken cancellationToken)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "");
        request.Headers.Range = new RangeHeaderValue(offset, offset + destination.Length - 1);
        using var response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken);
        if (response.StatusCode != HttpStatusCode.PartialContent) throw new IOException($"the server answered {response.StatusCode} to a range request");
        await using var body = await response.Content.ReadAsStreamAsync(cancellationToken);
        await body.ReadExactlyAsync(destination, cancellationToken);
    }

    public override ValueTask WriteAsync(ReadOnlyMemory<byte> source, long offset, CancellationToken cancellationToken) =>
        throw new BlockException(BlockStatus.Unsupported);

    public override ValueTask FlushAsync(CancellationToken cancellationToken) => default;
}
