using System.IO.Compression;
using VmShunt.Guest.Firmware.Boot;

namespace VmShunt.Tests.Guest.Firmware.Boot;

public class OsImageTests
{
    private static byte[] Zip(params (string Name, byte[] Content)[] files)
    {
        using var image = new MemoryStream();
        using (var archive = new ZipArchive(image, ZipArchiveMode.Create, leaveOpen: true))
        {
            foreach ((var name, var content) in files)
            {
                using Stream entry = archive.CreateEntry(name).Open();
                entry.Write(content);
            }
        }
        return image.ToArray();
    }

    [Fact]
    public void Files_read_back_by_name()
    {
        string self = typeof(OsImageTests).Assembly.Location, other = typeof(OsImage).Assembly.Location;
        IReadOnlyDictionary<string, byte[]> files = OsImage.Read(OsImage.Write([self, other]));
        Assert.Equal(2, files.Count);
        Assert.Equal(File.ReadAllBytes(self), files[Path.GetFileName(self)]);
        Assert.Equal(File.ReadAllBytes(other), files[Path.GetFileName(other)]);
    }

    [Fact]
    public void The_same_files_make_the_same_image()
    {
        var self = typeof(OsImageTests).Assembly.Location;
        Assert.Equal(OsImage.Write([self]), OsImage.Write([self]));
    }

    [Theory]
    [InlineData("../escape.dll")]
    [InlineData("folder/inner.dll")]
    [InlineData("folder\\inner.dll")]
    [InlineData("..")]
    public void A_name_that_is_not_a_plain_file_name_is_rejected(string name) =>
        Assert.Throws<InvalidDataException>(() => OsImage.Read(Zip((name, [1]))));

    [Fact]
    public void A_duplicate_name_is_rejected() =>
        Assert.Throws<InvalidDataException>(() => OsImage.Read(Zip(("a.dll", [1]), ("A.dll", [2]))));

    [Fact]
    public void Too_many_files_are_rejected() =>
        Assert.Throws<InvalidDataException>(() => OsImage.Read(Zip([.. Enumerable.Range(0, OsImage.MaxEntries + 1).Select(i => ($"{i}.dll", new byte[1]))])));

    [Fact]
    public void An_image_without_files_is_rejected() => Assert.Throws<InvalidDataException>(() => OsImage.Read(Zip()));

    [Fact]
    public void A_small_image_that_unpacks_beyond_the_limit_is_rejected() =>
        Assert.Throws<InvalidDataException>(() => OsImage.Read(Zip(("zeros.dll", new byte[OsImage.MaxUnpackedBytes + 1]))));

    [Fact]
    public void An_image_beyond_the_limit_is_rejected() =>
        Assert.Throws<InvalidDataException>(() => OsImage.Read(new byte[OsImage.MaxImageBytes + 1]));

    [Fact]
    public void Random_damage_is_rejected_or_harmless()
    {
        var sound = Zip(("a.dll", new byte[3000]), ("b.dll", [.. Enumerable.Range(0, 3000).Select(i => (byte)(i * i))]));
        var seed = Environment.TickCount;
        var random = new Random(seed);
        for (var round = 0; round < 3000; round++)
        {
            byte[] image = [.. sound];
            for (var i = random.Next(1, 5); i > 0; i--) image[random.Next(image.Length)] = (byte)random.Next(256);
            if (random.Next(4) == 0) image = image[..random.Next(image.Length)];
            Exception? thrown = Record.Exception(() => OsImage.Read(image));
            Assert.True(thrown is null or InvalidDataException, $"seed {seed}, round {round}: {thrown}");
        }
    }
}
