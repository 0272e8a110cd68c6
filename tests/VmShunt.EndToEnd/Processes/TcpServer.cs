using System.Net.Sockets;
using VmShunt.Perf.Launch;

namespace VmShunt.EndToEnd.Processes;

/// <summary>A server of the machine that takes a TCP port as an argument, on a port that is free.</summary>
internal static class TcpServer
{
    private const int MostTries = 10;

    // Below the ephemeral ports: a client that connects to an unused ephemeral port can be assigned that very port, is then
    // connected to itself, and holds the port that the server wants.
    private const int FirstPort = 10_000, LastPort = 32_000;

    /// <summary>Starts the server and waits until it greets its clients.</summary>
    /// <param name="start">Starts it on a port of 127.0.0.1.</param>
    /// <param name="request">What a client sends first; may be empty.</param>
    /// <param name="greeting">The first byte that the server sends then.</param>
    internal static async Task<(ChildProcess Server, int Port)> StartAsync(Func<int, ChildProcess> start, byte[] request, char greeting)
    {
        var said = "";
        for (var tries = 0; tries < MostTries; tries++)
        {
            var port = Random.Shared.Next(FirstPort, LastPort);
            var server = start(port);
            await Until.TrueAsync(() => server.Ended.IsCompleted || IsServing(port, request, greeting), $"{server.Name} listens or exits");
            if (!server.Ended.IsCompleted) return (server, port);
            said = string.Join('\n', server.LastErrors);
            await server.DisposeAsync();
        }
        throw new InvalidOperationException($"the server found no port: {said}");
    }

    private static bool IsServing(int port, byte[] request, char greeting)
    {
        try
        {
            using var client = new TcpClient("127.0.0.1", port);
            client.ReceiveTimeout = 5000;
            client.GetStream().Write(request);
            return client.GetStream().ReadByte() == greeting;
        }
        catch (Exception e) when (e is SocketException or IOException)
        {
            return false;
        }
    }
}
