module register_file (
  input  logic        clk,
  input  logic        rst,
  input  logic        write_a,
  input  logic [3:0]  index_a,
  input  logic [31:0] data_a,
  input  logic        write_b,
  input  logic [3:0]  index_b,
  input  logic [31:0] data_b,
  input  logic [3:0]  read_1,
  input  logic [3:0]  read_2,
  output logic [31:0] value_1,
  output logic [31:0] value_2
);
  logic [31:0] registers[0:15];

  always_ff @(posedge clk) begin
    if (rst) begin
      for (int i = 0; i < 16; i++) registers[i] <= 32'd0;
    end else begin
      if (write_a) registers[index_a] <= data_a;
      if (write_b) registers[index_b] <= data_b;  // the later assignment wins
    end
  end

  assign value_1 = read_1 == 4'd0 ? 32'd0 : registers[read_1];
  assign value_2 = read_2 == 4'd0 ? 32'd0 : registers[read_2];
endmodule
