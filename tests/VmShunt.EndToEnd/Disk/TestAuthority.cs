using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace VmShunt.EndToEnd.Disk;

/// <summary>A certificate authority of a test, and the files that its server and client need (nbdkit-tls(1)).</summary>
internal sealed class TestAuthority : IDisposable
{
    private static readonly DateTimeOffset s_start = DateTimeOffset.UtcNow.AddDays(-1), s_end = DateTimeOffset.UtcNow.AddDays(1);

    private readonly RSA _key = RSA.Create(2048);
    private readonly X509Certificate2 _certificate;

    internal TestAuthority(string name)
    {
        var request = new CertificateRequest($"CN={name}", _key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(certificateAuthority: true, hasPathLengthConstraint: false, 0, critical: true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign, critical: true));
        _certificate = request.CreateSelfSigned(s_start, s_end);
    }

    internal void WriteServer(string folder) => Write(folder, "server", "localhost");

    internal void WriteClient(string folder) => Write(folder, "client", "vmshunt");

    public void Dispose()
    {
        _certificate.Dispose();
        _key.Dispose();
    }

    private void Write(string folder, string role, string name)
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={name}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(name);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature | X509KeyUsageFlags.KeyEncipherment, critical: true));
        using var certificate = request.Create(_certificate, s_start, s_end, RandomNumberGenerator.GetBytes(8));
        File.WriteAllText(Path.Combine(folder, "ca-cert.pem"), _certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, $"{role}-cert.pem"), certificate.ExportCertificatePem());
        File.WriteAllText(Path.Combine(folder, $"{role}-key.pem"), key.ExportPkcs8PrivateKeyPem());
    }
}
